"""`check_flow_log.py` against a log written by hand: whole, and with one thing wrong at a time."""

import contextlib
import copy
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import check_flow_log
from capture_file import write_pcap
from selftest_run import ALICE, BOB, SCENARIO, ipv4, tcp, udp

A, B = "10.1.0.4", "10.1.0.5"
FRAMES = [
    ipv4(A, B, 17, udp(1, 2, b"question")),
    ipv4(B, A, 17, udp(2, 1), target_mac=ALICE, source_mac=BOB),
    ipv4(A, B, 17, udp(1, 2)),
    ipv4(A, "10.1.5.9", 6, tcp(445)),
]
MINUTE = 1_800_000_000_000
ACL = "00000000-0000-0000-0000-000000000000"


def record(mac, rule, *tuples):
    flows = [{"aclID": ACL, "flowGroups": [{"rule": rule, "flowTuples": list(tuples)}]}]
    return {
        "time": "2027-01-15T08:01:00.0000000Z", "flowLogVersion": 4, "flowLogGUID": ACL, "macAddress": mac,
        "category": "FlowLogFlowEvent", "flowLogResourceID": "/FLOWLOG", "targetResourceID": "/target",
        "operationName": "FlowLogFlowEvent", "flowRecords": {"flows": flows},
    }


LOG = {"records": [
    record(
        "000D3A000001", "out",
        f"{MINUTE},10.1.0.4,10.1.0.5,1,2,17,O,B,X,0,0,0,0",
        f"{MINUTE},10.1.0.4,10.1.5.9,40000,445,6,O,B,NX,0,0,0,0",
        f"{MINUTE + 1},10.1.0.4,10.1.0.5,1,2,17,O,C,X,1,50,1,43",
        f"{MINUTE + 2},10.1.0.4,10.1.0.5,1,2,17,O,E,X,1,43,0,0",
        f"{MINUTE + 2},10.1.0.4,10.1.5.9,40000,445,6,O,E,NX,1,54,0,0",
    ),
    record(
        "000D3A000002", "in",
        f"{MINUTE},10.1.0.4,10.1.0.5,1,2,17,I,B,X,0,0,0,0",
        f"{MINUTE},10.1.0.4,10.1.5.9,40000,445,6,I,B,NX,0,0,0,0",
        f"{MINUTE + 2},10.1.0.4,10.1.0.5,1,2,17,I,E,X,2,93,1,43",
        f"{MINUTE + 2},10.1.0.4,10.1.5.9,40000,445,6,I,E,NX,1,54,0,0",
    ),
]}


class FlowLog(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "s.toml").write_text(SCENARIO)
        write_pcap(self.folder / "in.pcap", [(MINUTE * 1_000_000, frame) for frame in FRAMES])

    def judge(self, log, *arguments):
        """(exit status, output)."""
        groups = [g for r in log["records"] for f in r["flowRecords"]["flows"] for g in f["flowGroups"]]
        count = sum(len(group["flowTuples"]) for group in groups)
        (self.folder / "flow-log.json").write_text(json.dumps(log))
        (self.folder / "summary.json").write_text(json.dumps({"flow_log_tuples": count}))
        command = ["check_flow_log", str(self.folder / "s.toml"), str(self.folder), *arguments]
        said = io.StringIO()
        with mock.patch("sys.argv", command), contextlib.redirect_stdout(said):
            return check_flow_log.main(), said.getvalue()

    def damaged(self, vm, tuple_number, old, new):
        log = copy.deepcopy(LOG)
        tuples = log["records"][vm]["flowRecords"]["flows"][0]["flowGroups"][0]["flowTuples"]
        self.assertIn(old, tuples[tuple_number])
        tuples[tuple_number] = tuples[tuple_number].replace(old, new, 1)
        return log

    def test_a_right_log_passes(self):
        status, said = self.judge(LOG)
        self.assertEqual(status, 0, said)
        self.assertIn("ok flows: 8 packets in 4 flows", said)

    def test_each_wrong_tuple_is_found(self):
        for vm, number, old, new, check in [
            (0, 0, ",0,0,0,0", ",0,0,0", "format"),
            (0, 0, ",0,0,0,0", ",1,50,0,0", "format"),
            (0, 0, ",X,", ",Y,", "format"),
            (0, 0, "10.1.0.5,1,", "10.1.0.5,01,", "format"),
            (0, 0, "17,O,B", "1,O,B", "format"),
            (0, 0, "10.1.0.5", "fd00:1::5", "format"),
            (0, 0, ",B,X,", ",D,NX,", "format"),
            (0, 1, str(MINUTE), str(MINUTE - 1), "format"),
            (0, 2, ",1,43", ",1,0", "format"),
            (0, 0, ",B,", ",C,", "states"),
            (0, 2, ",C,X,1,50,1,43", ",B,X,0,0,0,0", "states"),
            (0, 3, ",E,", ",C,", "states"),
            (0, 2, ",1,50,", ",2,50,", "flows"),
            (1, 2, ",2,93,", ",2,92,", "flows"),
            (0, 3, ",X,", ",NX,", "flows"),
            (1, 3, ",1,54,", ",0,0,", "flows"),
        ]:
            with self.subTest(f"{vm} {number}: {old} -> {new}"):
                status, said = self.judge(self.damaged(vm, number, old, new))
                self.assertEqual(status, 1)
                self.assertIn(f"DIFFERS {check}: ", said)

    def test_each_wrong_record_is_found(self):
        for field, value in [("flowLogVersion", 2), ("time", "2027-01-15"), ("macAddress", "000d3a000001"), ("category", ""), ("more", 1)]:
            with self.subTest(field):
                log = copy.deepcopy(LOG)
                log["records"][0][field] = value
                status, said = self.judge(log)
                self.assertEqual(status, 1)
                self.assertIn("DIFFERS format: ", said)

    def test_a_missing_flow_and_a_vm_without_log_are_found(self):
        log = copy.deepcopy(LOG)
        del log["records"][1]
        status, said = self.judge(log)
        self.assertEqual(status, 1)
        self.assertIn("DIFFERS flows: bob: ", said)

    def test_on_an_impaired_wire_packets_may_be_missing_but_none_too_many(self):
        self.assertEqual(self.judge(self.damaged(1, 2, ",2,93,1,43", ",1,50,1,43"), "--impaired")[0], 0)
        self.assertEqual(self.judge(self.damaged(1, 2, ",2,93,1,43", ",3,143,1,43"), "--impaired")[0], 1)
        self.assertEqual(self.judge(self.damaged(1, 2, ",2,93,1,43", ",2,93,0,0"), "--impaired")[0], 1)

    def test_denied_flows_have_a_tuple_of_their_own(self):
        text = SCENARIO.replace('addresses = ["10.1.0.5"', 'ready = false\naddresses = ["10.1.0.5"')
        (self.folder / "s.toml").write_text(text)
        log = copy.deepcopy(LOG)
        for vm, (source, target) in enumerate(((f"{A},{B},1,2", "O"), (f"{B},{A},2,1", "O"))):
            flows = log["records"][vm]["flowRecords"]["flows"]
            tuples = flows[0]["flowGroups"][0]["flowTuples"]
            tuples[:] = [text for text in tuples if ",445," in text]
            denied = f"{MINUTE},{source},17,{target},D,NX_SW_NOT_READY,0,0,0,0"
            flows.append({"aclID": "unspecified", "flowGroups": [{"rule": "unspecified", "flowTuples": [denied]}]})
        status, said = self.judge(log)
        self.assertEqual(status, 0, said)
        del log["records"][0]["flowRecords"]["flows"][1]
        status, said = self.judge(log)
        self.assertEqual(status, 1)
        self.assertIn("denied as []", said)


if __name__ == "__main__":
    unittest.main()
