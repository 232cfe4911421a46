//! Which devices there are. Goes in: nothing. Comes out: a list, or why it is empty. It looks
//! for the driver itself before cudarc does, because cudarc panics where a driver or one of its
//! functions is missing; so it never panics, and a program starts without a driver.

use std::ffi::c_int;
use std::sync::OnceLock;

use cudarc::driver::{result, sys as cu};
use libloading::Library;

/// A CUDA device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The number that [`Options::device`](crate::Options::device) takes.
    pub ordinal: usize,
    /// The product's name.
    pub name: String,
    /// The compute capability, (9, 0) for sm_90.
    pub compute: (i32, i32),
    /// Bytes of memory.
    pub memory: usize,
    /// Multiprocessors.
    pub multiprocessors: usize,
}

/// The oldest driver that works: CUDA 11.4, as `cuDriverGetVersion` counts.
const OLDEST: c_int = 11_040;

/// Where drivers install themselves, in cudarc's order: what is asked here is what it will use.
const LIBRARIES: &[&str] =
    if cfg!(windows) { &["nvcuda.dll"] } else { &["libcuda.so", "libcuda.so.1"] };

/// The toolkit has a library of the driver's name, to link with where there is none.
const STUB: &str = "the driver that was found is the toolkit's stub: take its folder out of \
                    LD_LIBRARY_PATH";

/// Every function that this crate needs, directly or through cudarc.
const FUNCTIONS: &[&str] = &[
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventRecord",
    "cuFuncSetAttribute",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuLaunchKernel",
    "cuMemAllocAsync",
    "cuMemAlloc_v2",
    "cuMemFreeAsync",
    "cuMemFree_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
];

/// Why no CUDA device can be used; `None` if one can. The driver is looked for once.
///
/// ```
/// match tilefold::cuda::unavailable() {
///     Some(why) => println!("runs on the CPU: {why}"),
///     None => println!("{:?}", tilefold::cuda::devices()),
/// }
/// ```
pub fn unavailable() -> Option<&'static str> {
    static STATE: OnceLock<Result<Library, String>> = OnceLock::new();
    STATE.get_or_init(probe).as_ref().err().map(String::as_str)
}

/// The devices of this machine; empty without a usable driver.
pub fn devices() -> Vec<DeviceInfo> {
    (0..count()).filter_map(|ordinal| info(ordinal).ok()).collect()
}

/// Whether there is a device.
pub(crate) fn is_there() -> bool {
    count() > 0
}

/// How many devices there are.
pub(super) fn count() -> usize {
    match unavailable() {
        Some(_) => 0,
        None => usize::try_from(result::device::get_count().unwrap_or(0)).unwrap_or(0),
    }
}

/// The facts of one device. The driver must have been found.
fn info(ordinal: usize) -> Result<DeviceInfo, result::DriverError> {
    use cu::CUdevice_attribute as Attribute;
    let number = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
    let device = result::device::get(number)?;
    // SAFETY: `device` is a device, by the call before.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) };
    let count = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    Ok(DeviceInfo {
        ordinal,
        name: result::device::get_name(device)?,
        compute: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }?,
        multiprocessors: usize::try_from(count).unwrap_or(1),
    })
}

/// Opens the driver, looks for its functions, and starts it. The library stays open.
fn probe() -> Result<Library, String> {
    let open = |name: &&str| {
        // SAFETY: loading the driver runs its initialisers, which NVIDIA wrote for that.
        unsafe { Library::new(*name) }.ok()
    };
    let library = LIBRARIES
        .iter()
        .find_map(open)
        .ok_or_else(|| format!("there is no NVIDIA driver ({} not found)", LIBRARIES.join(", ")))?;
    let version = driver_version(&library)?;
    if version < OLDEST {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        return Err(format!("the driver is of CUDA {major}.{minor}, but 11.4 or later is needed"));
    }
    for &name in FUNCTIONS {
        // SAFETY: the symbol is looked for, and neither read nor called.
        if unsafe { library.get::<unsafe extern "C" fn()>(name) }.is_err() {
            return Err(format!("the driver has no function {name}"));
        }
    }
    Ok(library)
}

/// Starts the driver and asks for its version.
fn driver_version(library: &Library) -> Result<c_int, String> {
    // SAFETY: the signature is the one of the driver's documentation.
    let init = unsafe { library.get::<unsafe extern "C" fn(u32) -> c_int>("cuInit") };
    let init = init.map_err(|_| "the driver has no function cuInit".to_owned())?;
    // SAFETY: 0 is the only flag.
    match unsafe { init(0) } {
        0 => (),
        34 => return Err(STUB.to_owned()),
        100 => return Err("the driver is there, but it finds no device".to_owned()),
        code => return Err(format!("the driver does not start (cuInit gives {code})")),
    }
    // SAFETY: the signature is the one of the driver's documentation.
    let get =
        unsafe { library.get::<unsafe extern "C" fn(*mut c_int) -> c_int>("cuDriverGetVersion") };
    let get = get.map_err(|_| "the driver has no function cuDriverGetVersion".to_owned())?;
    let mut version = 0;
    // SAFETY: `version` is a live int.
    match unsafe { get(&raw mut version) } {
        0 => Ok(version),
        code => Err(format!("the driver does not say its version (error {code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_reasons_agree() {
        let devices = devices();
        match unavailable() {
            Some(why) => {
                assert!(devices.is_empty(), "{why}");
                assert!(why.contains("driver"), "{why}");
            }
            None => assert!(devices.iter().all(|d| d.multiprocessors > 0 && d.memory > 0)),
        }
    }
}
