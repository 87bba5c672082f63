//! The first process of every sandbox. The host starts it; it is of no use on a terminal.

#[cfg(target_os = "linux")]
fn main() {
    sandbox::inside::main()
}

/// Other systems have no launcher: their adapters start the program themselves.
#[cfg(not(target_os = "linux"))]
fn main() {
    std::process::exit(1);
}
