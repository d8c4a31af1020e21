//! Inputs in files, a folder for each target.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The file of the inputs that came to something new: a line each, in hex.
const KINDS: &str = "kinds";
/// So many of them are written down, the shortest first.
const KINDS_MAX: usize = 150;
/// The longest one that is.
const KIND_BYTES_MAX: usize = 400;

/// The inputs that once broke a target, or what it was before it kept its promise; and one of each
/// kind of outcome that was met.
pub fn committed(target: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder(target)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).expect("a file of the corpus");
        if path.ends_with(KINDS) { lines(&String::from_utf8_lossy(&bytes)) } else { vec![bytes] }
    };
    paths.iter().flat_map(read).collect()
}

fn lines(kinds: &str) -> Vec<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
    let input = |line: &str| line.as_bytes().chunks(2).map(|byte| digit(byte[0]) << 4 | digit(byte[1])).collect();
    kinds.lines().map(input).collect()
}

/// Writes down the shortest of these, each of which came to another kind of outcome.
pub fn write_down(target: &str, inputs: &[Vec<u8>]) {
    let mut shortest: Vec<&Vec<u8>> = inputs.iter().filter(|input| input.len() <= KIND_BYTES_MAX).collect();
    shortest.sort_by_key(|input| (input.len(), *input));
    shortest.dedup();
    let line = |input: &&Vec<u8>| input.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    fs::create_dir_all(folder(target)).expect("a folder");
    let kinds: String = shortest.iter().take(KINDS_MAX).map(line).collect();
    fs::write(folder(target).join(KINDS), kinds).expect("a file");
}

/// Keeps an input that breaks a target, so that the test breaks as well until it is mended.
pub fn keep(target: &str, input: &[u8]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = folder(target).join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(folder(target)).expect("a folder");
    fs::write(&path, input).expect("a file");
    path
}
