# The project's habits, by name. `tests/run` is the one that decides.

# List the recipes.
default:
    @just --list

# Build everything that a user gets.
build *args:
    cargo build --locked --workspace {{ args }}

# Start the whole system in containers: broker, database, beat, workers.
up *args:
    docker compose up --build {{ args }}

# Run every check and every test. With arguments: only the tests of the suite whose names contain one of them.
test *args:
    tests/run {{ args }}

# Type-check, the quickest answer while writing.
check:
    cargo check --locked --workspace --all-targets --features failpoints

# Format the code.
fmt:
    cargo fmt --all

# Lint as strictly as `tests/run` does.
clippy:
    cargo clippy --locked --workspace --all-targets --features failpoints -- -D warnings

# Build the documentation. `just doc --open` shows it.
doc *args:
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --features failpoints {{ args }}

# Write the generated parts of the documentation anew.
docs:
    UPBEAT_WRITE_DOCS=1 cargo test --locked -p upbeat-shared --lib the_page_says_what_the_types_say

# Measure. Never with failpoints: they are not in what users run.
bench *args:
    cargo bench --locked -p upbeat-tests {{ args }}

# Simulate so many clusters under faults; from 100000 on, every pair of crashes as well. `just simulate 1 SEED` replays one.
simulate *args:
    cargo run --release --locked -p upbeat-tests --example simulate -- {{ args }}

# Take away each line that upholds an invariant, and see tests go red. Minutes for each; with arguments: only those guards.
mutations *args:
    cargo build --locked --workspace --features failpoints --example mutations
    "${CARGO_TARGET_DIR:-target}/debug/examples/mutations" {{ args }}

# Check the licence of every dependency. Needs nothing but Rust.
licences:
    tests/run suite licences

# Check licences, bans, sources and advisories. Needs cargo-deny and the network.
deny:
    cargo deny --locked check
