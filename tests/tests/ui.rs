//! Misuse of the attributes is a compile error: one rule a file, named for
//! it; message and span are checked.

#[test]
fn misuse_is_a_compile_error_that_says_the_way_out() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
