//! How does a batch job stop at Ctrl-C and go on later where it was?
//!
//! `batch DIRECTORY [RECORDS]` reads `records.txt` (which it makes at first), does something slow to each
//! line, and writes `output.txt` in the same order. At Ctrl-C or `kill` it takes no more lines, finishes
//! those that it has, and writes them. The next run begins after the last line that is written; half a
//! line, left by a power failure, is cut off. However long the file is, a few hundred lines of it are in
//! memory.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use weirs_runtime::{Runtime, Smol, block_on};
    use weirs_scopes::Signals;

    let mut arguments = std::env::args().skip(1);
    let directory = std::path::PathBuf::from(arguments.next().ok_or("usage: batch DIRECTORY [RECORDS]")?);
    let records = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    let signals = Signals::interrupt_and_terminate()?;
    block_on(unix::run(&Runtime::from(Smol::global()), &directory, records, signals))
}

#[cfg(unix)]
mod unix {
    use std::convert::Infallible;
    use std::error::Error;
    use std::fs::{self, File, OpenOptions};
    use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
    use std::path::Path;
    use std::time::Duration;

    use futures_lite::StreamExt;
    use futures_lite::future::{or, try_zip};
    use weirs_pipelines::WorkerPool;
    use weirs_runtime::Runtime;
    use weirs_scopes::Signals;

    pub(crate) async fn run(
        runtime: &Runtime,
        directory: &Path,
        records: u64,
        mut signals: Signals,
    ) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(directory)?;
        let input = directory.join("records.txt");
        if !input.exists() {
            make(&input, records)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let mut output = options.open(directory.join("output.txt"))?;
        let done = whole_lines(&mut output)?;
        println!("begins after line {done}");

        let clock = runtime.clock().clone();
        let work = move |record: String| {
            let sleep = clock.sleep(Duration::from_millis(1));
            async move {
                sleep.await;
                Ok::<_, Infallible>(record.to_uppercase())
            }
        };
        let pool = WorkerPool::builder(work).workers(64).queue(64).ordered().build(runtime)?;
        let mut results = pool.results();
        let feed = async {
            for record in BufReader::new(File::open(&input)?).lines().skip(done) {
                let submitted = pool.submit(record?);
                // A line that is not taken comes in the next run.
                let signal = or(async { Some(signals.recv().await) }, async {
                    _ = submitted.await;
                    None
                });
                if let Some(signal) = signal.await {
                    println!("{signal}: finishes what it has begun");
                    break;
                }
            }
            drop(pool.close());
            Ok::<_, Box<dyn Error>>(())
        };
        let write = async {
            let mut output = BufWriter::new(output);
            let mut written = done;
            while let Some(completion) = results.next().await {
                writeln!(output, "{}", completion.result?)?;
                written += 1;
                if written == done + 1 {
                    println!("works");
                }
            }
            output.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            Ok(written)
        };
        let ((), written) = try_zip(feed, write).await?;
        println!("written up to line {written}");
        Ok(())
    }

    fn make(path: &Path, records: u64) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        (1..=records).try_for_each(|number| writeln!(file, "record {number}"))?;
        file.flush()
    }

    /// How many whole lines there are. What is behind them is cut off.
    fn whole_lines(file: &mut File) -> io::Result<usize> {
        let (mut lines, mut bytes, mut line) = (0, 0, Vec::new());
        let mut reader = BufReader::new(&mut *file);
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            lines += 1;
            bytes += line.len() as u64;
            line.clear();
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(lines)
    }
}

#[cfg(not(unix))]
fn main() {
    println!("signals are for Unix");
}
