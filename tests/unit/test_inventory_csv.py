"""nodes.csv: what every column means, and errors that say where."""

from pathlib import Path

import pytest

from schemas.errors import KbwatchError
from schemas.inventory import InventoryNode
from schemas.inventory_csv import read_nodes


def nodes(folder: Path, text: str | bytes) -> list[InventoryNode]:
    path = folder / "nodes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_nodes(path)


def refused(folder: Path, text: str | bytes) -> str:
    with pytest.raises(KbwatchError) as caught:
        nodes(folder, text)
    said = str(caught.value)
    assert said.startswith(str(folder / "nodes.csv"))
    assert "\n" not in said
    return said.removeprefix(str(folder / "nodes.csv"))


def test_a_name_is_enough(tmp_path: Path) -> None:
    assert nodes(tmp_path, "node\nHV03.corp.example\n") == [
        InventoryNode(v=1, fleet="default", node="hv03", domain="hv03", site="unknown")
    ]


def test_every_column(tmp_path: Path) -> None:
    text = (
        "Node,Fleet,Cluster,Site,Ring,Role,OS,Branch,Virtual,Collector,Aliases,"
        "covariate:csv_bitlocker,covariate:kir:KB1,covariate:backup\n"
        "HV03,emea,HV-C01.corp.example,fra,r1,HyperV,Windows Server 2019,17763,no,yes,"
        "OLD1; Old2.corp.example,YES,false,Veeam 12\n"
    )
    assert nodes(tmp_path, text) == [
        InventoryNode(
            v=1,
            fleet="emea",
            node="hv03",
            domain="hv-c01",
            site="fra",
            ring="r1",
            role="hyperv",
            os="Windows Server 2019",
            branch="17763",
            virtual=False,
            collector=True,
            aliases=("old1", "old2"),
            covariates={"csv_bitlocker": True, "kir:KB1": False, "backup": "Veeam 12"},
        )
    ]


def test_an_empty_field_says_nothing(tmp_path: Path) -> None:
    (node,) = nodes(tmp_path, "node,virtual,role,covariate:s2d\nhv03,,,\n")
    assert (node.virtual, node.role, node.covariates) == (None, "", {})


@pytest.mark.parametrize(
    "text",
    [
        "node;site;ring\nhv03;fra;r1\n",
        "\ufeffnode,site,ring\r\nhv03,fra,r1\r\n",
        'node,site,ring\n\n"hv03"," fra ",r1\n,,\n',
    ],
)
def test_what_spreadsheets_make_of_it_is_read(tmp_path: Path, text: str) -> None:
    (node,) = nodes(tmp_path, text)
    assert (node.node, node.site, node.ring) == ("hv03", "fra", "r1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ":1: the column node is missing"),
        ("site\nfra\n", ":1: the column node is missing"),
        ("node,rôle\nhv03,x\n", ":1: no column 'rôle'; there are: node, fleet, domain"),
        ("node,site,Site\nhv03,x,y\n", ":1: column site is there twice"),
        ("node,domain,cluster\nhv03,x,y\n", ":1: domain and cluster are the same"),
        ("node,covariate:\nhv03,x\n", ":1: column covariate:: a name must follow the colon"),
        ("node\n\n", ": names no node"),
        ("node,site\nhv03\n", ":2: 1 fields, the first line names 2 columns"),
        ("node,site\n,fra\n", ":2: column node: a computer's name is missing"),
        ("node,branch\nhv03,2019\nhv04,R2\n", ":3: column branch: digits such as 17763 are right"),
        ("node,virtual\nhv03,maybe\n", ":2: column virtual: 'maybe' is neither yes nor no"),
        ("node,site\nhv03,a|b\n", ":2: column site: at most 256 characters without '|'"),
        ("node\nhv03\nHV03.corp.example\n", ":3: column node: hv03 is in line 2 already"),
        ("node,aliases\nhv03,hv04\nhv04,\n", ":2: column aliases: hv04 is a name of line 3"),
        ("node,aliases\na,x\nb,x\n", ":3: column aliases: x is a name of line 2 already"),
        ("node,aliases\na,A\n", ":2: column aliases: a is a name of line 2 already"),
        ('node\n"hv03\n', ":2: not CSV: unexpected end of data"),
        (b"node,site\nhv03,K\xf6ln\n", ":2: not UTF-8; save it as UTF-8"),
    ],
)
def test_an_error_names_line_and_column_and_what_would_be_right(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    assert refused(tmp_path, text).startswith(says)


def test_all_errors_are_told_a_line_each(tmp_path: Path) -> None:
    with pytest.raises(KbwatchError) as caught:
        nodes(tmp_path, "node,virtual\na,x\nb,yes\nc,y\nd,\nd,\n")
    path = tmp_path / "nodes.csv"
    assert str(caught.value).splitlines() == [
        "3 errors; nothing was written:",
        f"  {path}:2: column virtual: 'x' is neither yes nor no",
        f"  {path}:4: column virtual: 'y' is neither yes nor no",
        f"  {path}:6: column node: d is in line 5 already",
    ]


def test_of_very_many_errors_twenty_are_told(tmp_path: Path) -> None:
    with pytest.raises(KbwatchError) as caught:
        nodes(tmp_path, "node,virtual\n" + "".join(f"n{n},x\n" for n in range(500)))
    lines = str(caught.value).splitlines()
    assert (lines[0], lines[-1]) == ("500 errors; nothing was written:", "  and 480 more")
    assert len(lines) == 22


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KbwatchError, match=r"nodes\.csv: No such file"):
        read_nodes(tmp_path / "nodes.csv")


def test_the_same_name_in_two_fleets_is_two_nodes(tmp_path: Path) -> None:
    found = nodes(tmp_path, "node,fleet,aliases\ndc01,a,old\ndc01,b,old\n")
    assert [(node.fleet, node.node) for node in found] == [("a", "dc01"), ("b", "dc01")]
