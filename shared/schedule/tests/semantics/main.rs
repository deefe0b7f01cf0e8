//! What schedules mean, tested through the public interface alone.

mod contract;
