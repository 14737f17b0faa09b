//! AES-GCM against another implementation, at lengths that published vectors do not reach.

use crate::fixture::Random;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sealnic_dtls::hazmat::{open_raw, seal_raw};

#[test]
fn agrees_with_ring_at_every_length_and_at_whole_records() {
    let mut random = Random(42);
    let lengths: Vec<usize> = (0..=2200).chain([4095, 4096, 4097, 9014, 16_384, 16_401]).collect();
    for (algorithm, key_len) in [(&AES_128_GCM, 16), (&AES_256_GCM, 32)] {
        let mut count = 0;
        for &len in &lengths {
            let key = random.octets(key_len);
            let nonce: [u8; 12] = random.octets(12).try_into().unwrap();
            let aad_len = random.below(60) as usize;
            let aad = random.octets(aad_len);
            let plaintext = random.octets(len);

            let mut theirs = plaintext.clone();
            let tag = LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap())
                .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), &mut theirs)
                .unwrap();
            let mut ours = plaintext.clone();
            let our_tag = seal_raw(&key, &nonce, &aad, &mut ours).unwrap();
            assert_eq!(&our_tag, tag.as_ref(), "tag at {len}");
            assert_eq!(ours, theirs, "ciphertext at {len}");

            assert_eq!(open_raw(&key, &nonce, &aad, &mut ours, &our_tag), Some(true));
            assert_eq!(ours, plaintext);
            count += 1;
        }
        println!("ring: {count} records of AES-{}", key_len * 8);
        assert_eq!(count, 2207);
    }
}
