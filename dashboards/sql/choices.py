"""What can be chosen in the boards' variables."""

from dashboards.sql.parts import AT_SITE, BRANCH, FLEET
from dashboards.sql.query import named


@named("fleet")
def fleets() -> str:
    """The fleets that report."""
    return "SELECT DISTINCT fleet FROM node_facts ORDER BY fleet"


@named("branch")
def branches(fleet: str = FLEET) -> str:
    """The branches of Windows in a fleet."""
    return f"SELECT DISTINCT branch FROM node_facts WHERE fleet = {fleet} ORDER BY branch"


@named("branch")
def case_branches(fleet: str = FLEET) -> str:
    """The branches that have cases, the one with the newest trouble first."""
    return f"""
        SELECT branch FROM verdicts WHERE fleet = {fleet}
        GROUP BY branch ORDER BY max((state = 'halt', state = 'warn', asof_ms)) DESC, branch"""


@named("kb")
def kbs(fleet: str = FLEET, branch: str = BRANCH) -> str:
    """The KBs with a case on a branch, those in trouble and the newest first."""
    return f"""
        SELECT kb FROM verdicts WHERE fleet = {fleet} AND branch = {branch}
        GROUP BY kb ORDER BY max((state = 'halt', state = 'warn', started_ms)) DESC, kb"""


@named("site")
def sites(fleet: str = FLEET) -> str:
    """The sites of a fleet."""
    return f"SELECT DISTINCT site FROM node_facts WHERE fleet = {fleet} ORDER BY site"


@named("ring")
def rings(fleet: str = FLEET) -> str:
    """The rings of a fleet, in their order by name."""
    return f"SELECT DISTINCT ring FROM node_facts WHERE fleet = {fleet} ORDER BY ring"


@named("node")
def nodes_at(fleet: str = FLEET) -> str:
    """The nodes at the chosen sites."""
    return f"""
        SELECT DISTINCT node FROM node_facts
        WHERE fleet = {fleet} AND {AT_SITE} ORDER BY node"""


@named("cluster")
def clusters_at(fleet: str = FLEET) -> str:
    """The failover clusters at the chosen sites."""
    return f"""
        SELECT DISTINCT cluster FROM node_facts
        WHERE fleet = {fleet} AND cluster != '' AND {AT_SITE} ORDER BY cluster"""
