use cache_core::tag;

fn name(a: &str) -> String {
    tag!("vendor:{}", a).to_string()
}

fn main() {}
