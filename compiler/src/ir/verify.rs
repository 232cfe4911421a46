//! verify
/// x
pub fn verify(_: &super::Formula) -> Result<(), String> { Ok(()) }
