//! Random octets, and good packets with random damage, through every parser: nothing panics, and what parses survives the way out
//! and back.

mod exercise;

use exercise::seeds::SEEDS;

/// A linear congruential generator (Knuth's MMIX constants): the same run everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn random_octets_go_through_every_parser() {
    let mut random = Random(1);
    for _ in 0..50_000 {
        let length = random.next() % 96;
        exercise::all(&random.octets(length));
    }
}

#[test]
fn damaged_packets_go_through_every_parser() {
    let mut random = Random(2);
    for round in 0..50_000 {
        let mut packet = SEEDS[round % SEEDS.len()].to_vec();
        for _ in 0..random.next() % 4 {
            let at = random.next() % packet.len();
            packet[at] = if random.next().is_multiple_of(2) {
                random.next() as u8
            } else {
                packet[at] ^ (1 << (random.next() % 8))
            };
        }
        let tail = random.next() % 80;
        packet.extend(random.octets(tail));
        if random.next().is_multiple_of(4) {
            packet.truncate(random.next() % (packet.len() + 1));
        }
        exercise::all(&packet);
    }
}

#[test]
fn every_prefix_of_a_good_packet_goes_through_every_parser() {
    for seed in SEEDS {
        let mut packet = seed.to_vec();
        packet.extend([0; 64]);
        for length in 0..=packet.len() {
            exercise::all(&packet[..length]);
        }
    }
}

#[test]
fn long_packets_go_through_every_parser() {
    let mut random = Random(3);
    for seed in SEEDS {
        let mut packet = seed.to_vec();
        packet.extend(random.octets(20_000));
        exercise::all(&packet);
        packet.fill(0xff);
        exercise::all(&packet);
    }
}
