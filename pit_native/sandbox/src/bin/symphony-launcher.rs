//! The first process of every sandbox. The host starts it; it is of no use on a terminal.

fn main() {
    sandbox::inside::main()
}
