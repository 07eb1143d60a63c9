//! [`Asked`]: who waits for a child, and what they hear.

use std::mem::take;

use crate::Exit;
use crate::answer::Answerer;
use crate::supervise::command::{CommandError, StartChildError};
use crate::supervise::machine::Answer;

/// An answer, and whom it is given to.
pub(super) enum Due {
    Start(Answerer<Result<(), StartChildError>>, Result<(), StartChildError>),
    Command(Answerer<Result<(), CommandError>>, Result<(), CommandError>),
    Stop(Answerer<Result<Exit, CommandError>>, Result<Exit, CommandError>),
}

impl Due {
    pub(super) fn give(self) {
        match self {
            Self::Start(answerer, answer) => answerer.give(answer),
            Self::Command(answerer, answer) => answerer.give(answer),
            Self::Stop(answerer, answer) => answerer.give(answer),
        }
    }
}

/// Who waits for the child.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) started: Vec<Answerer<Result<(), StartChildError>>>,
    pub(super) restarted: Vec<Answerer<Result<(), CommandError>>>,
    pub(super) stopped: Vec<Answerer<Result<Exit, CommandError>>>,
    pub(super) deleted: Vec<Answerer<Result<(), CommandError>>>,
}

impl Asked {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        let commands = self.restarted.is_empty() && self.deleted.is_empty();
        commands && self.started.is_empty() && self.stopped.is_empty()
    }

    /// What there is to say to them, after what the child was like when it ended last.
    pub(super) fn answer(&mut self, answer: Answer, exit: impl Fn() -> Option<Exit>, due: &mut Vec<Due>) {
        match answer {
            Answer::Started | Answer::NotStarted | Answer::Interrupted => {
                due.extend(take(&mut self.started).into_iter().map(|answerer| {
                    Due::Start(
                        answerer,
                        match answer {
                            Answer::Started => Ok(()),
                            Answer::NotStarted => {
                                Err(StartChildError::NotStarted(exit().unwrap_or(Exit::Lost)))
                            }
                            _ => Err(StartChildError::Interrupted),
                        },
                    )
                }));
                due.extend(take(&mut self.restarted).into_iter().map(|answerer| {
                    Due::Command(
                        answerer,
                        match answer {
                            Answer::Started => Ok(()),
                            Answer::NotStarted => Err(CommandError::NotStarted(exit().unwrap_or(Exit::Lost))),
                            _ => Err(CommandError::Interrupted),
                        },
                    )
                }));
            }
            Answer::Stopped | Answer::Stuck => {
                due.extend(take(&mut self.stopped).into_iter().map(|answerer| {
                    Due::Stop(
                        answerer,
                        match answer {
                            Answer::Stopped => Ok(exit().unwrap_or(Exit::Normal)),
                            _ => Err(CommandError::Stuck),
                        },
                    )
                }));
            }
            Answer::Deleted => {
                due.extend(
                    take(&mut self.deleted).into_iter().map(|answerer| Due::Command(answerer, Ok(()))),
                );
            }
            // Those who asked last: the ones before them are waited for.
            Answer::Running => {
                let last = self.deleted.pop().or_else(|| self.restarted.pop());
                due.extend(last.map(|answerer| Due::Command(answerer, Err(CommandError::Running))));
            }
            Answer::Ending => match self.restarted.pop() {
                Some(answerer) => due.push(Due::Command(answerer, Err(CommandError::Ended))),
                None => due.extend(
                    self.started
                        .pop()
                        .map(|answerer| Due::Start(answerer, Err(StartChildError::Ended(None)))),
                ),
            },
        }
    }
}
