//! CUDA text to code for one kind of GPU, by NVRTC, in this process. Goes in: the text of a kernel.
//! Comes out: an image that the driver loads. NVRTC is looked for when it is first needed, and a
//! program runs without it. This code has compiled kernels, but none of them ran: it never met a
//! device.

use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;
use tilefold_templates::HEADERS;

/// Names the library, where the system does not find it.
const VARIABLE: &str = "TILEFOLD_NVRTC";

/// Where NVRTC installs itself, newest first.
const LIBRARIES: &[&str] = if cfg!(windows) {
    &["nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"]
} else {
    &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"]
};

/// Takes the place of the headers of a C library.
const STDINT: (&str, &str) = ("stdint.h", include_str!("nvrtc.h"));

/// What kernels are compiled with besides their macros.
const FLAGS: &[&str] = &["-std=c++17"];

type Program = *mut c_void;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Read = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;

/// The functions that are used; the numbers they give back are 0 for success.
pub(super) struct Nvrtc {
    create: Create,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
    image: (Size, Read),
    log: (Size, Read),
    /// Major and minor.
    version: (c_int, c_int),
}

/// A program, destroyed when it is dropped.
struct Held<'a>(&'a Nvrtc, Program);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: the program was created, and this is the only time that it is destroyed.
        let _ = unsafe { (self.0.destroy)(&mut self.1) };
    }
}

impl Nvrtc {
    /// NVRTC, or why there is none. It is looked for once.
    pub fn find() -> Result<&'static Nvrtc, &'static str> {
        static FOUND: OnceLock<Result<Nvrtc, String>> = OnceLock::new();
        FOUND.get_or_init(Nvrtc::load).as_ref().map_err(String::as_str)
    }

    fn load() -> Result<Nvrtc, String> {
        let named = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let names = match named {
            Some(path) => vec![path],
            None => LIBRARIES.iter().map(PathBuf::from).collect(),
        };
        let mut first = None;
        for name in &names {
            // SAFETY: the library of NVIDIA, or the one that the user names, does what NVRTC's
            // documentation says, and starts without side effects.
            match unsafe { Library::new(name) } {
                // Never unloaded: its functions are kept.
                Ok(library) => return Nvrtc::functions(Box::leak(Box::new(library))),
                Err(e) => first = first.or(Some(format!("{}: {e}", name.display()))),
            }
        }
        Err(format!("NVRTC cannot be loaded: {}", first.unwrap_or_default()))
    }

    fn functions(library: &'static Library) -> Result<Nvrtc, String> {
        /// # Safety
        /// `T` is the type of the function.
        unsafe fn get<T: Copy>(library: &Library, name: &CStr) -> Result<T, String> {
            // SAFETY: the caller's promise.
            let found = unsafe { library.get::<T>(name.to_bytes_with_nul()) };
            found.map(|symbol| *symbol).map_err(|e| format!("NVRTC lacks a function: {e}"))
        }
        // SAFETY: these are the types in nvrtc.h, whose handles are pointers and whose results are
        // enumerations of C.
        unsafe {
            let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int =
                get(library, c"nvrtcVersion")?;
            let (mut major, mut minor) = (0, 0);
            if version(&mut major, &mut minor) != 0 {
                return Err("NVRTC does not say its version".into());
            }
            Ok(Nvrtc {
                create: get(library, c"nvrtcCreateProgram")?,
                compile: get(library, c"nvrtcCompileProgram")?,
                destroy: get(library, c"nvrtcDestroyProgram")?,
                image: (get(library, c"nvrtcGetCUBINSize")?, get(library, c"nvrtcGetCUBIN")?),
                log: (
                    get(library, c"nvrtcGetProgramLogSize")?,
                    get(library, c"nvrtcGetProgramLog")?,
                ),
                version: (major, minor),
            })
        }
    }

    /// What tells it from others.
    pub fn identity(&self) -> String {
        format!("NVRTC {}.{} {FLAGS:?} {}", self.version.0, self.version.1, STDINT.1)
    }

    /// The image of a text for a compute capability, or what NVRTC printed.
    pub fn compile(&self, text: &str, macros: &[&str], arch: &str) -> Result<Vec<u8>, String> {
        let c = |text: &str| CString::new(text).map_err(|e| e.to_string());
        let list = |texts: &[&str]| texts.iter().map(|text| c(text)).collect::<Result<Vec<_>, _>>();
        let headers = || HEADERS.iter().copied().chain([STDINT]);
        let names = list(&headers().map(|(name, _)| name).collect::<Vec<_>>())?;
        let bodies = list(&headers().map(|(_, body)| body).collect::<Vec<_>>())?;
        let arch = format!("--gpu-architecture={arch}");
        let options = list(&[FLAGS, macros, &[arch.as_str()]].concat())?;
        let pointers = |texts: &[CString]| texts.iter().map(|t| t.as_ptr()).collect::<Vec<_>>();
        let (names, bodies, options) = (pointers(&names), pointers(&bodies), pointers(&options));
        let text = c(text)?;
        let mut program = ptr::null_mut();
        // SAFETY: the lists have as many entries as is said, each a text that ends in a zero, and
        // all of them live until the end of this function.
        let created = unsafe {
            (self.create)(
                &mut program,
                text.as_ptr(),
                c"kernel.cu".as_ptr(),
                names.len() as c_int,
                bodies.as_ptr(),
                names.as_ptr(),
            )
        };
        if created != 0 {
            return Err(format!("NVRTC cannot begin (error {created})"));
        }
        let held = Held(self, program);
        // SAFETY: as above; the program was created.
        let done = unsafe { (self.compile)(held.1, options.len() as c_int, options.as_ptr()) };
        match done {
            0 => self.read(held.1, self.image),
            _ => {
                let log = self.read(held.1, self.log).unwrap_or_default();
                Err(String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned())
            }
        }
    }

    fn read(&self, program: Program, (size, read): (Size, Read)) -> Result<Vec<u8>, String> {
        let mut length = 0;
        // SAFETY: the program was created and not destroyed.
        let sized = unsafe { size(program, &mut length) };
        let mut bytes = vec![0; length];
        // SAFETY: as above, and NVRTC writes as many bytes as it said.
        match sized == 0 && unsafe { read(program, bytes.as_mut_ptr().cast()) } == 0 {
            true if length > 0 => Ok(bytes),
            _ => Err("NVRTC gave nothing back".into()),
        }
    }
}
