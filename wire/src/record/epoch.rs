//! Records of epochs: an admin has made a new network secret. The secret itself stands in no record.

use super::{Content, Record, RecordError};
use crate::{Chain, Commitment, NetworkId, NodeId, cbor};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Most revoked nodes that a record of an epoch names: it fits into a record then with the longest credentials of an
/// admin. Of more, their own revocations tell.
pub const EPOCH_NODES_MAX: usize = 8;

/// What an admin says of an epoch that it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Number of the epoch; also the sequence of the record.
    pub number: u32,
    /// To the epoch's secret.
    pub commitment: Commitment,
    /// Revoked nodes for whose sake it is: nobody gives them the secret, even who has not heard of their
    /// revocation yet. At most [`EPOCH_NODES_MAX`], ascending.
    pub nodes: Vec<NodeId>,
    /// How many revocations the admin knew. Who knows of more knows that another epoch is due.
    pub revocations: u32,
}

#[derive(Encode, Decode)]
pub(super) struct EpochPayload {
    #[n(0)]
    commitment: Commitment,
    #[n(1)]
    nodes: Vec<NodeId>,
    #[n(2)]
    revocations: u32,
    #[n(3)]
    by: ByteVec,
}

impl EpochPayload {
    pub(super) fn of(epoch: &Epoch, by: &Chain) -> Self {
        let Epoch { commitment, nodes, revocations, .. } = epoch.clone();
        Self { commitment, nodes, revocations, by: by.encode().into() }
    }
}

impl Record {
    /// The epoch that the record speaks of, whether its owner may, and the proper name of the record.
    pub(super) fn epoch(&self, network: &NetworkId) -> Result<(Content, bool, String), RecordError> {
        let EpochPayload { commitment, nodes, revocations, by } = cbor::decode(&self.body.payload)?;
        let number = u32::try_from(self.body.sequence).map_err(|_| RecordError::Malformed)?;
        if number == 0 || nodes.len() > EPOCH_NODES_MAX || !nodes.is_sorted_by(|a, b| a < b) {
            return Err(RecordError::Malformed);
        }
        let by = Box::new(Chain::verify(&by, network).map_err(|_| RecordError::Malformed)?);
        let may = by.claims().node == self.body.owner && by.claims().roles.admin;
        let epoch = Epoch { number, commitment, nodes, revocations };
        Ok((Content::Epoch { epoch, by }, may, commitment.to_string()))
    }
}
