//! How do I resize a batch of pictures on a few threads, and not faster than I may?
//!
//! A limiter says when the next one may begin, a pool of blocking workers does the work, and its queue
//! holds up whoever hands in more than they can do. One picture is broken, and costs nobody else anything.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use futures_lite::{StreamExt, future};
use weirs_examples::story;
use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_pipelines::{JobError, WorkerPool};

const PICTURES: usize = 60;

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        let (clock, start) = (runtime.clock(), runtime.clock().now());
        let quota = Quota::new(Rate::per_second(100), 10).expect("a quota");
        let limiter = RateLimiter::builder(quota).clock(clock.clone()).build();
        let resize = |file: Vec<u8>| Ok::<_, &str>(Picture::read(&file)?.shrink(4).write());
        let pool = WorkerPool::blocking(resize).workers(4).queue(8).ordered().build(&runtime).unwrap();
        let mut results = pool.results();
        let feed = async {
            for number in 0..PICTURES {
                limiter.acquire(1).await.expect("it is open");
                let file = if number == 30 { b"GIF89a".to_vec() } else { Picture::paint(number).write() };
                pool.submit(file).await.unwrap();
            }
            pool.close().await
        };
        let read = async {
            let mut sum = 0_u64;
            while let Some(completion) = results.next().await {
                match completion.result {
                    Ok(file) => sum += file.iter().map(|byte| u64::from(*byte)).sum::<u64>(),
                    Err(JobError::Failed(why)) => println!("picture {}: {why}", completion.id.number()),
                    Err(other) => println!("picture {}: {other}", completion.id.number()),
                }
            }
            sum
        };
        let (settled, sum) = future::zip(feed, read).await;
        let took = clock.now().saturating_since(start);
        println!("{} resized, {} failed, all bytes together {sum}", settled.done, settled.failed);
        println!("not faster than a hundred a second: {}", took >= Duration::from_millis(490));
    })
}

/// A picture as in a PPM file: three bytes for each point.
struct Picture {
    width: usize,
    height: usize,
    points: Vec<[u8; 3]>,
}

impl Picture {
    fn paint(number: usize) -> Self {
        let (width, height) = (96, 64);
        let point = |i: usize| [i % width + number, i / width * 3, number * 4].map(|value| value as u8);
        Self { width, height, points: (0..width * height).map(point).collect() }
    }

    fn read(file: &[u8]) -> Result<Self, &'static str> {
        let mut rest = file.strip_prefix(b"P6\n").ok_or("no picture that I know")?;
        let mut number = || {
            let end = rest.iter().position(u8::is_ascii_whitespace)?;
            let (digits, more) = rest.split_at(end);
            rest = &more[1..];
            str::from_utf8(digits).ok()?.parse::<usize>().ok()
        };
        let (Some(width), Some(height), Some(255)) = (number(), number(), number()) else {
            return Err("a head that makes no sense");
        };
        let points: Vec<_> = rest.chunks_exact(3).map(|point| [point[0], point[1], point[2]]).collect();
        if width.checked_mul(height) != Some(points.len()) || points.is_empty() {
            return Err("points are missing");
        }
        Ok(Self { width, height, points })
    }

    /// Each point is the mean of a square.
    fn shrink(&self, by: usize) -> Self {
        let (width, height) = (self.width / by, self.height / by);
        let mean = |i: usize| {
            let (left, top) = (i % width * by, i / width * by);
            let mut sums = [0; 3];
            for y in top..top + by {
                for point in &self.points[y * self.width + left..][..by] {
                    sums.iter_mut().zip(point).for_each(|(sum, value)| *sum += usize::from(*value));
                }
            }
            sums.map(|sum| (sum / (by * by)) as u8)
        };
        Self { width, height, points: (0..width * height).map(mean).collect() }
    }

    fn write(&self) -> Vec<u8> {
        let mut file = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        file.extend(self.points.iter().flatten());
        file
    }
}
