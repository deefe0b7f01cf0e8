//! Programs that must not compile, and what their authors are told. `TRYBUILD=overwrite` writes the files beside them.

#[test]
fn mistakes_are_told_at_their_place_with_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
