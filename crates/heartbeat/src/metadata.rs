//! What a node says of itself beside that it lives.
//!
//! Encoded as fields of `tag 1 | length 2 | bytes`, in the order of their tags; an unknown tag is
//! skipped. All in all at most 512 bytes, as it travels with the news that a node is alive.

use std::fmt;

use crate::Error;

/// What a node says of itself. Every field may be missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metadata {
    /// How busy it is, in percent of what it can do; above 100 is overload.
    pub load: Option<u16>,
    /// What it runs.
    pub build: Option<String>,
    /// The newest epoch or term that it has seen, for those who elect or fence by it.
    pub epoch: Option<u64>,
    /// The region it runs in.
    pub region: Option<String>,
    /// The shards that it holds itself to own.
    pub shards: Vec<String>,
}

/// Most bytes of encoded metadata.
pub(crate) const METADATA_MAX: usize = 512;

impl Metadata {
    /// As bytes.
    ///
    /// # Errors
    /// [`Error::Metadata`] if they are more than 512.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut put = |tag: u8, field: &[u8]| {
            let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
            bytes.push(tag);
            bytes.extend(length.to_le_bytes());
            bytes.extend(field);
        };
        if let Some(load) = self.load {
            put(LOAD, &load.to_le_bytes());
        }
        if let Some(build) = &self.build {
            put(BUILD, build.as_bytes());
        }
        if let Some(epoch) = self.epoch {
            put(EPOCH, &epoch.to_le_bytes());
        }
        if let Some(region) = &self.region {
            put(REGION, region.as_bytes());
        }
        self.shards
            .iter()
            .for_each(|shard| put(SHARD, shard.as_bytes()));
        match bytes.len() {
            0..=METADATA_MAX => Ok(bytes),
            length => Err(Error::Metadata { length }),
        }
    }

    /// From bytes; none if they are not metadata.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut metadata = Self::default();
        while let Some(([tag, low, high], rest)) = bytes.split_first_chunk() {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let (field, rest) = rest.split_at_checked(length)?;
            let text = || str::from_utf8(field).ok().map(str::to_owned);
            match *tag {
                LOAD => metadata.load = Some(u16::from_le_bytes(field.try_into().ok()?)),
                BUILD => metadata.build = Some(text()?),
                EPOCH => metadata.epoch = Some(u64::from_le_bytes(field.try_into().ok()?)),
                REGION => metadata.region = Some(text()?),
                SHARD => metadata.shards.push(text()?),
                _ => {}
            }
            bytes = rest;
        }
        bytes.is_empty().then_some(metadata)
    }
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            self.load.map(|load| format!("load {load} %")),
            self.build.as_ref().map(|build| format!("build {build}")),
            self.epoch.map(|epoch| format!("epoch {epoch}")),
            self.region
                .as_ref()
                .map(|region| format!("region {region}")),
            (!self.shards.is_empty()).then(|| format!("shards {}", self.shards.join(" "))),
        ];
        let fields: Vec<String> = fields.into_iter().flatten().collect();
        f.write_str(&fields.join(", "))
    }
}

const LOAD: u8 = 1;
const BUILD: u8 = 2;
const EPOCH: u8 = 3;
const REGION: u8 = 4;
const SHARD: u8 = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn metadata_reads_back_and_garbage_does_not_panic(
            load in any::<Option<u16>>(),
            epoch in any::<Option<u64>>(),
            build in prop::option::of(".{0,20}"),
            shards in prop::collection::vec("[a-z0-9]{1,8}", 0..10),
            garbage in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let metadata = Metadata { load, build, epoch, region: None, shards };
            let bytes = metadata.encode().unwrap();
            prop_assert_eq!(Metadata::decode(&bytes), Some(metadata));
            let _ = Metadata::decode(&garbage);
        }
    }

    #[test]
    fn more_than_fits_is_refused() {
        let metadata = Metadata {
            build: Some("x".repeat(510)),
            ..Metadata::default()
        };
        assert_eq!(metadata.encode(), Err(Error::Metadata { length: 513 }));
    }
}
