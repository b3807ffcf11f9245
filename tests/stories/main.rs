//! The stories: what users and agents rely on, shown on the real binaries.
