"""`check_line_rate.py` against sweeps made here, whole and damaged."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import check_line_rate

COLUMNS = "point,series,protection,frame_octets,flows,distribution,direction,line_gbit_per_s,theory_goodput_gbit_per_s,percent_of_theory"


class Sweep(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = Path(folder.name)
        # DTLS 1.3, 64 octets: 60 of frame, 8 VXLAN, 28 record, 8 UDP, 20 IPv4, 14 Ethernet, 4 FCS, 20 preamble and gap.
        self.octets, self.period_ps, self.theory = 142, 162 * 80, 46 / 162 * 100
        self.series, self.claimed = "frame_sizes", {"egress": 100.0, "ingress": 100.0}
        self.marks = {d: [(n * self.period_ps, self.octets, 1) for n in range(500)] for d in ("egress", "ingress")}

    def verdict(self, *options):
        rows = [
            f"0,{self.series},dtls13,64,64,uniform,{direction},100,{self.theory:.6f},{self.claimed[direction]:.4f}"
            for direction in self.marks
        ]
        marks = [f"0,{d},{end},{octets},{carried}" for d in self.marks for end, octets, carried in self.marks[d]]
        (self.directory / "line-rate.csv").write_text("\n".join([COLUMNS, *rows, ""]))
        (self.directory / "wire-timestamps.csv").write_text("\n".join(["point,direction,end_ps,octets,carried", *marks, ""]))
        printed = io.StringIO()
        with mock.patch.object(sys, "argv", ["check", str(self.directory), *options]), contextlib.redirect_stdout(printed):
            return check_line_rate.main(), printed.getvalue()

    def assert_found(self, text, *options):
        status, printed = self.verdict(*options)
        self.assertEqual(status, 1, printed)
        self.assertIn(text, printed)

    def test_theory_is_that_of_the_documentation(self):
        # Goodput by the VM's IP packet, in percent of the line; without connection ids DTLS 1.2 has 9 octets less.
        for ip_len, expected in ((64, 35.6), (256, 68.8), (512, 81.5), (1024, 89.8), (1500, 92.8), (9000, 98.7)):
            self.assertAlmostEqual(check_line_rate.theory("dtls13", ip_len + 18, 100.0), expected, delta=0.05)
        with mock.patch.dict(check_line_rate.RECORD, dtls12=check_line_rate.RECORD["dtls12"] - 9):
            for ip_len, expected in ((64, 33.9), (256, 67.2), (512, 80.4), (1024, 89.1), (1500, 92.3), (9000, 98.6)):
                self.assertAlmostEqual(check_line_rate.theory("dtls12", ip_len + 18, 100.0), expected, delta=0.05)

    def test_a_full_line_passes(self):
        status, printed = self.verdict()
        self.assertEqual(status, 0, printed)

    def test_more_than_the_line_carries_is_found(self):
        self.marks["egress"] = [(n * (self.period_ps - 1), self.octets, 1) for n in range(500)]
        self.assert_found("more than a line can carry")
        self.series = "flows"
        self.assert_found("more than a line can carry")

    def test_too_little_is_found_where_sizes_vary(self):
        self.marks["ingress"] = [(end, octets, int(n % 50 != 0)) for n, (end, octets, _) in enumerate(self.marks["ingress"])]
        self.assert_found("is less than 99.0 %")
        self.claimed["ingress"] = 98.0
        self.assertEqual(self.verdict("--least", "97")[0], 0)
        self.series = "flows"
        self.assertEqual(self.verdict()[0], 0)

    def test_a_false_report_is_found(self):
        self.claimed["egress"] = 99.2
        self.assert_found("the report says")
        self.claimed["egress"], self.theory = 100.0, self.theory * 1.01
        self.assert_found("the report's theory is")

    def test_frames_of_a_wrong_length_and_missing_frames_are_found(self):
        self.marks["egress"][7] = (self.marks["egress"][7][0], self.octets - 1, 1)
        self.assert_found("1 frames of a wrong length")
        self.marks["egress"] = self.marks["egress"][:20]
        self.assert_found("too few frames")
        del self.marks["egress"]
        self.assert_found("has directions ['ingress']")


if __name__ == "__main__":
    unittest.main()
