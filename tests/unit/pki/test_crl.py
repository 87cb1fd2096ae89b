from __future__ import annotations

from datetime import datetime

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.pki.crl import build_crl, crl_pem, is_by, read_crls
from mooring.pki.model import Reason, Revocation
from tests.unit.pki.making import DAY, NOW, a_ca

CA = a_ca()

entries = st.lists(
    st.builds(
        Revocation,
        serial=st.integers(1, 2**159 - 1).map(lambda n: format(n, "x")),
        at=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(
            lambda moment: moment.replace(tzinfo=NOW.tzinfo)
        ),
        reason=st.sampled_from(Reason),
    ),
    max_size=20,
)


@given(entries)
@settings(max_examples=40, deadline=None)
def test_a_list_holds_exactly_what_was_revoked(revoked: list[Revocation]) -> None:
    (crl,) = read_crls(crl_pem([build_crl(CA, revoked, now=NOW)]))
    last = {entry.serial: entry for entry in revoked}
    assert {format(line.serial_number, "x") for line in crl} == set(last)
    for line in crl:
        entry = last[format(line.serial_number, "x")]
        assert line.revocation_date_utc == entry.at.replace(microsecond=0)
        reasons = [extension.value for extension in line.extensions]
        if entry.reason is Reason.UNSPECIFIED:
            assert reasons == []
        else:
            assert reasons == [x509.CRLReason(x509.ReasonFlags(entry.reason.value))]


def test_a_list_is_dated_before_now_and_lasts_as_long_as_its_ca() -> None:
    crl = build_crl(CA, [], now=NOW)
    assert crl.last_update_utc < NOW
    assert crl.next_update_utc == CA.info.not_after
    assert build_crl(CA, [], now=NOW, next_update=NOW + DAY).next_update_utc == NOW + DAY


def test_numbers_grow() -> None:
    numbers = [
        build_crl(CA, [], now=NOW + step * DAY)
        .extensions.get_extension_for_class(x509.CRLNumber)
        .value.crl_number
        for step in range(3)
    ]
    assert numbers == sorted(set(numbers))


def test_two_lists_in_one_text_keep_their_makers() -> None:
    other = a_ca("Other CA")
    one, two = read_crls(crl_pem([build_crl(CA, [], now=NOW), build_crl(other, [], now=NOW)]))
    assert is_by(one, CA)
    assert not is_by(one, other)
    assert is_by(two, other)


def test_a_damaged_list_is_an_error_and_no_list_is_none() -> None:
    good = crl_pem([build_crl(CA, [], now=NOW)])
    assert read_crls(b"") == []
    with pytest.raises(ValueError, match=r".+"):
        read_crls(good.replace(b"MII", b"MIX", 1) if b"MII" in good else good[:60] + good[70:])


def test_a_list_of_twenty_thousand() -> None:
    crl = build_crl(CA, [Revocation(format(n, "x"), NOW) for n in range(1, 20_001)], now=NOW)
    assert len(crl) == 20_000
    assert crl.get_revoked_certificate_by_serial_number(20_000) is not None
