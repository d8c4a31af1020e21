use cache_core::key;

fn name(a: &str, b: &str) -> String {
    key!("{a}{b}").to_string()
}

fn main() {}
