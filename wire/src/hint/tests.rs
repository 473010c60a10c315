use super::*;

const NETWORK: NetworkId = NetworkId([7; 16]);

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn secret() -> NetworkSecret {
    NetworkSecret::new(1, [3; 32])
}

fn body(candidates: usize) -> HintBody {
    let candidate = |n: usize| Candidate::new(format!("[2001:db8::{n}]:65535").parse().unwrap()).unwrap();
    HintBody {
        node: NodeId(signer().verifying_key().to_bytes()),
        noise_key: NoisePublicKey([2; 32]),
        candidates: (1..=candidates).map(candidate).collect(),
        unix_s: u64::MAX,
        stream: Some(u16::MAX),
    }
}

fn hint(candidates: usize) -> Hint {
    Hint::sign(&body(candidates), &NETWORK, &signer()).unwrap()
}

#[test]
fn a_hint_reads_back_and_all_hints_have_one_length() {
    let key = SealKey::who(&secret());
    for candidates in 0..=HINT_CANDIDATES_MAX {
        let hint = hint(candidates);
        let (sealed, ask) = (hint.seal(&key, [4; 12]), hint.seal_ask(&key, [4; 12]));
        assert_eq!((sealed.len(), ask.len()), (SEALED_HINT_LENGTH, SEALED_ASK_LENGTH));
        for bytes in [sealed, ask] {
            let opened = Hint::open(&key, &NETWORK, &bytes).unwrap();
            assert_eq!((opened.body(), &opened), (&body(candidates), &hint));
        }
    }
}

#[test]
fn nothing_of_two_sealed_hints_is_the_same() {
    let key = SealKey::lan(&secret());
    let (one, other) = (hint(3).seal(&key, [4; 12]), hint(3).seal(&key, [5; 12]));
    let same = one.windows(4).filter(|part| other.windows(4).any(|window| window == *part)).count();
    assert_eq!(same, 0);
}

#[test]
fn each_purpose_and_each_ask_has_a_key_of_its_own() {
    let who = SealKey::who(&secret());
    let keys = [
        SealKey::lan(&secret()),
        who.answer_to(&[4; 12]),
        who.answer_to(&[5; 12]),
        SealKey::who(&NetworkSecret::new(1, [9; 32])),
        who,
    ];
    for (i, sealer) in keys.iter().enumerate() {
        let sealed = hint(1).seal(sealer, [6; 12]);
        for (j, opener) in keys.iter().enumerate() {
            let opened = Hint::open(opener, &NETWORK, &sealed);
            assert_eq!(opened.is_ok(), i == j, "{i} {j}");
            assert!(i == j || opened == Err(HintError::Seal));
        }
    }
}

#[test]
fn a_changed_byte_and_another_length_do_not_open() {
    let key = SealKey::who(&secret());
    let sealed = hint(2).seal(&key, [4; 12]);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(Hint::open(&key, &NETWORK, &changed), Err(HintError::Seal), "byte {at}");
    }
    for length in 0..2 * SEALED_ASK_LENGTH {
        let mut other = sealed.clone();
        other.resize(length, 0);
        assert_eq!(Hint::open(&key, &NETWORK, &other).is_ok(), length == SEALED_HINT_LENGTH, "{length}");
    }
    assert_eq!(key.open(&[0; 27]), None);
}

/// Seals these bytes as if they were a signed hint, with this byte in the padding.
fn sealed(signed: &[u8], last: u8) -> Vec<u8> {
    let mut text = [&(signed.len() as u16).to_le_bytes()[..], signed].concat();
    text.resize(SEALED_HINT_LENGTH - NONCE_LENGTH - TAG_LENGTH, 0);
    *text.last_mut().unwrap() |= last;
    SealKey::who(&secret()).seal([4; 12], &text)
}

#[test]
fn a_member_cannot_speak_for_another_or_in_another_encoding() {
    let key = SealKey::who(&secret());
    let open = |bytes: &[u8], last| Hint::open(&key, &NETWORK, &sealed(bytes, last));
    let good = hint(1);
    assert_eq!(open(&good.bytes, 0), Ok(good.clone()));
    assert_eq!(open(&good.bytes, 1), Err(HintError::Malformed), "something hides in the padding");
    assert_eq!(open(&[&good.bytes[..], &[0]].concat(), 0), Err(HintError::Malformed), "a trailing byte");

    let sign = |body: &HintBody, prefix: &[u8]| {
        let encoded = cbor::encode(body);
        let signature = signer().sign(&[prefix, &NETWORK.0, &encoded].concat()).to_bytes();
        cbor::encode(&Signed { body: encoded.into(), signature: signature.into() })
    };
    assert!(open(&sign(&body(1), SIGNED_PREFIX), 0).is_ok());
    assert_eq!(open(&sign(&body(1), b"hopmesh record 1 "), 0), Err(HintError::Signature));
    assert_eq!(
        open(&sign(&HintBody { stream: Some(0), ..body(1) }, SIGNED_PREFIX), 0),
        Err(HintError::Malformed)
    );
    let another = HintBody { node: NodeId([5; 32]), ..body(1) };
    assert_eq!(open(&sign(&another, SIGNED_PREFIX), 0), Err(HintError::Signature));
    assert_eq!(Hint::sign(&another, &NETWORK, &signer()), Err(HintError::Signature));
    assert_eq!(Hint::sign(&body(9), &NETWORK, &signer()), Err(HintError::Malformed));
    let bytes = good.seal(&key, [4; 12]);
    assert_eq!(Hint::open(&key, &NetworkId([8; 16]), &bytes), Err(HintError::Signature), "another network's");
}

#[test]
fn a_length_beyond_the_text_is_malformed() {
    let mut text = vec![0; SEALED_HINT_LENGTH - NONCE_LENGTH - TAG_LENGTH];
    text[..2].copy_from_slice(&u16::MAX.to_le_bytes());
    let key = SealKey::who(&secret());
    let bytes = key.seal([4; 12], &text);
    assert_eq!(Hint::open(&key, &NETWORK, &bytes), Err(HintError::Malformed));
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", SealKey::who(&secret())), "SealKey");
}
