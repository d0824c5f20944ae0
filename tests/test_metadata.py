"""Metadata: which source wins, and that nothing half-understood ever opens a document to everybody."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from config.errors import DocumentError
from config.settings import Audience, DocumentSettings
from knowledge.load import PolicyMetadata, load

BODY = "# Parental leave\n\nTwelve weeks.\n"


def known(folder: Path, files: dict[str, str], name: str = "leave.md") -> PolicyMetadata:
    for file, text in {name: BODY, **files}.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    return load(folder / name, folder, DocumentSettings()).metadata


def refusal(folder: Path, files: dict[str, str]) -> str:
    with pytest.raises(DocumentError) as caught:
        known(folder, files)
    message = str(caught.value)
    assert "\n" not in message and message.endswith((".", "?"))
    return message


def test_without_any_metadata_the_heading_is_the_title_and_everybody_may_read(tmp_path: Path) -> None:
    assert known(tmp_path, {}) == PolicyMetadata(title="Parental leave")


def test_without_a_heading_the_file_name_is_the_title(tmp_path: Path) -> None:
    assert known(tmp_path, {"sick_leave-2026.md": "Call us."}, "sick_leave-2026.md").title == "Sick leave 2026"


def test_sidecar_gives_every_key(tmp_path: Path) -> None:
    sidecar = (
        "title: Leave\nurl: https://intranet.example/leave\nowner: People team\naudience: managers\n"
        "countries: [GB, no]\n"
        "effective: 2026-01-01\nreview_by: 2027-01-01\n"
    )
    assert known(tmp_path, {"leave.meta.yaml": sidecar}) == PolicyMetadata(
        "Leave",
        "https://intranet.example/leave",
        "People team",
        Audience.MANAGERS,
        ("GB", "NO"),
        date(2026, 1, 1),
        date(2027, 1, 1),
    )


def test_nearer_source_wins_for_each_key(tmp_path: Path) -> None:
    files = {
        "_meta.yaml": "audience: hr\nowner: Root\ncountries: GB\n",
        "uk/_meta.yaml": "owner: UK team\nreview_by: 2030-01-01\n",
        "uk/leave.md": f"---\ntitle: Front\nowner: Front owner\nlayout: page\n---\n{BODY}",
        "uk/leave.md.meta.yaml": "title: Sidecar\n",
    }
    assert known(tmp_path, files, "uk/leave.md") == PolicyMetadata(
        "Sidecar", owner="Front owner", audience=Audience.HR, countries=("GB",), review_by=date(2030, 1, 1)
    )


def test_metadata_of_a_neighbouring_folder_does_not_apply(tmp_path: Path) -> None:
    assert known(tmp_path, {"uk/_meta.yaml": "audience: hr"}).audience is Audience.ALL


def test_empty_list_of_countries_means_every_country_over_the_folder(tmp_path: Path) -> None:
    assert known(tmp_path, {"_meta.yaml": "countries: [GB]", "leave.meta.yaml": "countries: []"}).countries == ()


def test_html_meta_elements_are_metadata(tmp_path: Path) -> None:
    page = (
        '<head><title>Pay</title><meta name="audience" content="hr"><meta name="author" content="Payroll team">'
        '<link rel="canonical" href="https://x.example/pay"></head><p>Text.</p>'
    )
    found = known(tmp_path, {"pay.html": page}, "pay.html")
    assert found == PolicyMetadata("Pay", "https://x.example/pay", "Payroll team", Audience.HR)


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [
        ("audiance: hr", "did you mean 'audience'"),
        ("country: DE", "did you mean 'countries'"),
        ("audience: boss", "write all, managers or hr"),
        ("audience:", "has no value"),
        ("audience: [hr, managers]", "takes one value"),
        ("audience: {a: b}", "nested"),
        ("audience: hr\naudience: all", "given twice"),
        ("effective: 01.02.2026", "no date"),
        ("effective: 2026-02-01\nreview_by: 2026-01-01", "before effective"),
        ("countries: UK", "is GB"),
        ("countries: [Germany]", "two letters"),
        ("url: javascript:alert(1)", "https://"),
        ("audience: 'hr", "not valid YAML"),
        ("- audience", "key: value"),
        ("", "is empty"),
        ("\0", "not valid YAML"),
        ("audience: hr\n" + "#" * 70_000, "larger than"),
    ],
)
@pytest.mark.parametrize("file", ["leave.meta.yaml", "leave.md.meta.yml", "_meta.yaml"])
def test_metadata_that_cannot_be_understood_refuses_the_document(
    tmp_path: Path, file: str, sidecar: str, reason: str
) -> None:
    assert reason in refusal(tmp_path, {file: sidecar})


@pytest.mark.parametrize(
    ("front_matter", "reason"),
    [
        ("audiance: hr", "did you mean 'audience'"),
        ("effective_date: 2026-01-01", "did you mean 'effective'"),
        ("audience: everyone", "write all, managers or hr"),
        ("audience: 'hr", "not valid YAML"),
    ],
)
def test_front_matter_that_is_nearly_right_refuses_the_document(tmp_path: Path, front_matter: str, reason: str) -> None:
    assert reason in refusal(tmp_path, {"leave.md": f"---\n{front_matter}\n---\n{BODY}"})


def test_front_matter_that_is_never_closed_refuses_the_document(tmp_path: Path) -> None:
    assert "not closed" in refusal(tmp_path, {"leave.md": f"---\naudience: hr\n\n{BODY}"})


def test_keys_of_site_generators_are_ignored_in_front_matter(tmp_path: Path) -> None:
    text = f"---\nlayout: page\npermalink: /leave/\ntags: [a, b]\nweight: 8\t\nurl: /leave/\n---\n{BODY}"
    assert known(tmp_path, {"leave.md": text}) == PolicyMetadata("Parental leave")


def test_a_rule_at_the_top_is_no_front_matter(tmp_path: Path) -> None:
    assert known(tmp_path, {"leave.md": f"---\n\n{BODY}"}).title == "Parental leave"


def test_sidecar_that_links_out_of_the_folder_refuses_the_document(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "open.yaml").write_text("audience: all")
    (inside / "leave.meta.yaml").symlink_to(tmp_path / "open.yaml")
    assert "leaves the folder" in refusal(inside, {})
