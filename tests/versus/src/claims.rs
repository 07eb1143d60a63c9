//! [`CLAIMS`]: what the documents that this project began with say of Go.

/// The name of a row, without its runtime and its peer, and the claim: how much faster than the first line of
/// its table, and how long all of its jobs take.
pub const CLAIMS: &[(&str, &str)] = &[
    ("seeds/pool/serial", "1,000 ms"),
    ("seeds/pool/10", "10x, 100 ms"),
    ("seeds/pool/100", "100x, 10 ms"),
    ("seeds/pipeline/serial", "1.23 ms"),
    ("seeds/pipeline/stages", "2.7x, 0.46 ms"),
    ("seeds/pipeline-20us/stages", "2-5x"),
    ("seeds/fan-out/1", "10.2 ms"),
    ("seeds/fan-out/4", "4x, 2.57 ms"),
    ("seeds/fan-out/8", "8x, 1.28 ms"),
    ("seeds/fan-out-cpu/4", "4x"),
    ("seeds/fan-out-cpu/8", "8x"),
    ("seeds/batch/free-1", "100 a second"),
    ("seeds/batch/free-10", "8x, 800 a second"),
    ("seeds/batch/free-50", "20x, 2,000 a second"),
    ("seeds/batch/limited-50", "1,500 a second"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn every_claim_has_its_rows() {
        let experiments = rows::experiments();
        let names: Vec<&str> = experiments.iter().map(|experiment| experiment.name()).collect();
        for (claim, _) in CLAIMS {
            for host in ["smol/go", "async-std/go", "tokio/go", "tokio/tokio"] {
                assert!(names.contains(&&*format!("{claim}/{host}")), "{claim}/{host}");
            }
        }
    }
}
