//! Suspects: what was running in two lost workers runs in a process of its own, and only that process's death counts against
//! it. And cancels, of which what runs learns at once.

mod alone;
mod blame;
mod cancel;
mod program;
mod scene;
