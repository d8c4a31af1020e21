use cache_core::tag;

fn name(a: &str) -> String {
    tag!(a).to_string()
}

fn main() {}
