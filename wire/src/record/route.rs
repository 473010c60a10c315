//! Routes: the subnets that a node offers to be a router for. An offer alone changes nothing: an admin approves a prefix by
//! putting it into the node's credential. A default route is the offer to be an exit, for those who choose this node as theirs:
//! nobody approves that.

use super::RecordError;
use crate::credential::{PREFIXES_MAX, is_routable, parse_prefix, prefix_bytes};
use ipnet::IpNet;
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

/// Most offers of one node: as many subnets as its credential has room for, and the default routes of an exit.
pub const ROUTE_OFFERS_MAX: usize = PREFIXES_MAX + 2;

/// A subnet that a node is a router for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct RouteOffer {
    /// The prefix by which other members reach it.
    #[cbor(n(0), with = "prefix")]
    pub prefix: IpNet,
    /// The prefix that it has itself, when that is another of the same length: addresses are translated one to one.
    #[cbor(n(1), with = "prefix_or_none")]
    pub behind: Option<IpNet>,
    /// Whether the router puts its own address into the packets of members, so that the subnet needs no way back.
    #[n(2)]
    pub is_masqueraded: bool,
}

impl RouteOffer {
    /// The offer to be an exit for one family: `0.0.0.0/0` or `::/0`.
    #[must_use]
    pub fn exit(default: IpNet) -> Self {
        debug_assert!(is_default(&default));
        Self { prefix: default, behind: None, is_masqueraded: true }
    }

    /// Whether this is the offer to be an exit.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        is_default(&self.prefix)
    }

    /// The prefix that the subnet has itself.
    #[must_use]
    pub fn subnet(&self) -> IpNet {
        self.behind.unwrap_or(self.prefix)
    }

    /// Whether this can be offered: a default route as [`RouteOffer::exit`] makes it; else prefixes that can lie behind a node
    /// ([`is_routable`]), and of a translation both alike in family and length, and not the same.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        if self.is_exit() {
            return self.prefix.addr().is_unspecified() && self.behind.is_none() && self.is_masqueraded;
        }
        let is_alike = |behind: &IpNet| {
            behind.addr().is_ipv4() == self.prefix.addr().is_ipv4()
                && behind.prefix_len() == self.prefix.prefix_len()
                && *behind != self.prefix
                && is_routable(behind)
        };
        is_routable(&self.prefix) && self.behind.as_ref().is_none_or(is_alike)
    }
}

fn is_default(prefix: &IpNet) -> bool {
    prefix.prefix_len() == 0
}

/// What the record of a node's offers says.
#[derive(Encode, Decode)]
pub(super) struct RoutesPayload {
    #[n(0)]
    pub(super) offers: Vec<RouteOffer>,
}

impl RoutesPayload {
    /// The offers, ascending, at most [`ROUTE_OFFERS_MAX`], each prefix once.
    pub(super) fn offers(self) -> Result<Vec<RouteOffer>, RecordError> {
        let is_ascending = self.offers.is_sorted_by(|one, next| one.prefix < next.prefix);
        let is_good = self.offers.len() <= ROUTE_OFFERS_MAX && is_ascending;
        let is_good = is_good && self.offers.iter().all(RouteOffer::is_valid);
        is_good.then_some(self.offers).ok_or(RecordError::Malformed)
    }
}

/// A prefix is the bytes of its address and its length.
mod prefix {
    use super::{Decoder, Encoder, IpNet, Write, decode, encode, parse_prefix, prefix_bytes};

    pub(super) fn encode<C, W: Write>(
        prefix: &IpNet,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.bytes(&prefix_bytes(prefix))?.ok()
    }

    pub(super) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<IpNet, decode::Error> {
        parse_prefix(decoder.bytes()?).ok_or_else(|| decode::Error::message("no prefix"))
    }
}

/// The same, or null.
mod prefix_or_none {
    use super::{Decoder, Encoder, IpNet, Write, decode, encode, prefix};

    pub(super) fn encode<C, W: Write>(
        value: &Option<IpNet>,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match value {
            Some(value) => prefix::encode(value, encoder, context),
            None => encoder.null()?.ok(),
        }
    }

    pub(super) fn decode<C>(
        decoder: &mut Decoder<'_>,
        context: &mut C,
    ) -> Result<Option<IpNet>, decode::Error> {
        if decoder.datatype()? == minicbor::data::Type::Null {
            decoder.null()?;
            return Ok(None);
        }
        prefix::decode(decoder, context).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    fn offer(prefix: &str, behind: Option<&str>) -> RouteOffer {
        let parse = |text: &str| text.parse().unwrap();
        RouteOffer { prefix: parse(prefix), behind: behind.map(parse), is_masqueraded: true }
    }

    fn judged(offers: Vec<RouteOffer>) -> Result<usize, RecordError> {
        let bytes = cbor::encode(&RoutesPayload { offers });
        cbor::decode::<RoutesPayload>(&bytes)?.offers().map(|offers| offers.len())
    }

    #[test]
    fn offers_come_back_and_are_of_prefixes_that_can_be_routed() {
        let good = vec![
            offer("10.50.1.0/24", Some("192.168.1.0/24")),
            offer("192.168.9.0/24", None),
            offer("fd00:1::/64", Some("fd00:2::/64")),
        ];
        let bytes = cbor::encode(&RoutesPayload { offers: good.clone() });
        assert_eq!(cbor::decode::<RoutesPayload>(&bytes).unwrap().offers(), Ok(good.clone()));
        assert_eq!(good[0].subnet(), "192.168.1.0/24".parse().unwrap());
        let translated =
            RouteOffer { behind: Some("10.0.0.0/8".parse().unwrap()), ..offer("0.0.0.0/0", None) };
        for bad in [
            translated,
            RouteOffer { is_masqueraded: false, ..offer("::/0", None) },
            offer("0.0.0.0/1", None),
            offer("224.0.0.0/8", None),
            offer("10.50.1.0/24", Some("192.168.0.0/16")),
            offer("10.50.1.0/24", Some("10.50.1.0/24")),
            offer("fd00::/64", Some("10.0.0.0/8")),
            offer("10.50.1.0/24", Some("0.0.0.0/24")),
        ] {
            assert!(!bad.is_valid(), "{bad:?}");
            assert_eq!(judged(vec![bad]), Err(RecordError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn an_exit_is_the_offer_of_default_routes() {
        let exit = ["0.0.0.0/0", "::/0"].map(|default| RouteOffer::exit(default.parse().unwrap()));
        assert!(exit.iter().all(|offer| offer.is_exit() && offer.is_valid()));
        let offers = vec![exit[0], offer("192.168.9.0/24", None), exit[1]];
        assert_eq!(judged(offers), Ok(3));
        assert!(!offer("192.168.9.0/24", None).is_exit());
    }

    #[test]
    fn a_prefix_is_offered_once_and_in_order() {
        let (low, high) = (offer("10.1.0.0/16", None), offer("10.2.0.0/16", None));
        assert_eq!(judged(vec![low, high]), Ok(2));
        assert_eq!(judged(vec![high, low]), Err(RecordError::Malformed));
        assert_eq!(judged(vec![low, low]), Err(RecordError::Malformed));
        let many = (0..=ROUTE_OFFERS_MAX).map(|n| offer(&format!("10.{n}.0.0/16"), None));
        assert_eq!(judged(many.clone().skip(1).collect()), Ok(ROUTE_OFFERS_MAX));
        assert_eq!(judged(many.collect()), Err(RecordError::Malformed));
    }
}
