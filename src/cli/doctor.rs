//! `upbeat doctor`: reaches everything, and says what to do.
use super::context::Context;
use super::failure::Failure;
use clap::Args;
/// Reach everything; print versions and advice
#[derive(Debug, Args)]
pub(crate) struct DoctorCommand {}
impl DoctorCommand {
    pub(crate) async fn run(self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }
}
