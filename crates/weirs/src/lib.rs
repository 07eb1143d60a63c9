#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(all(
    feature = "scopes",
    feature = "channels-utils",
    feature = "limiters",
    feature = "resilience",
    feature = "pipelines",
    feature = "actors",
    feature = "testing",
    feature = "smol"
))]
pub mod guide;

#[doc(inline)]
pub use weirs_runtime as runtime;
pub use weirs_runtime::{Clock, Instant, Runtime, block_on};

#[cfg(feature = "actors")]
#[cfg_attr(docsrs, doc(cfg(feature = "actors")))]
#[doc(inline)]
pub use weirs_actors as actors;
#[cfg(feature = "channels-utils")]
#[cfg_attr(docsrs, doc(cfg(feature = "channels-utils")))]
#[doc(inline)]
pub use weirs_channels_utils as channels;
#[cfg(feature = "limiters")]
#[cfg_attr(docsrs, doc(cfg(feature = "limiters")))]
#[doc(inline)]
pub use weirs_limiters as limiters;
#[cfg(feature = "pipelines")]
#[cfg_attr(docsrs, doc(cfg(feature = "pipelines")))]
#[doc(inline)]
pub use weirs_pipelines as pipelines;
#[cfg(feature = "resilience")]
#[cfg_attr(docsrs, doc(cfg(feature = "resilience")))]
#[doc(inline)]
pub use weirs_resilience as resilience;
#[cfg(feature = "scopes")]
#[cfg_attr(docsrs, doc(cfg(feature = "scopes")))]
#[doc(inline)]
pub use weirs_scopes as scopes;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
#[doc(inline)]
pub use weirs_testing as testing;
