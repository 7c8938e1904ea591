"""Aliases that promotions move are where the last of these put them."""

from collections.abc import Iterable

from lineage.project import Project
from lineage.tracking.promotions import Promoted, Promotion, promoted
from lineage.tracking.tags import CHAMPION
from lineage.verbs.verify_break import Break, Check, Found
from lineage.verbs.verify_versions import CheckedVersion


def check_aliases(project: Project, versions: Iterable[CheckedVersion]) -> Found:
    """Look at the aliases of the models that these are versions of.

    An alias of which no promotion was ever written down is anybody's to move.
    """
    breaks, skipped = [], []
    for name in dict.fromkeys(version.node.name for version in versions):
        model = promoted(project.reader, name, project.passed)
        if model is None:
            continue
        last = {each.alias: each for each in model.promotions}
        breaks += [
            _moved(model, each) for each in last.values() if _now(model, each) != each.version
        ]
        if CHAMPION in model.aliases and CHAMPION not in last:
            skipped.append(
                f"who gave models:/{name}/{model.aliases[CHAMPION]} the alias {CHAMPION}: nothing"
                f" was written down of it; `{_because(name, CHAMPION)}` does"
            )
    return Found(tuple(breaks), tuple(skipped))


def _now(model: Promoted, promotion: Promotion) -> str:
    return model.aliases.get(promotion.alias, "")


def _moved(model: Promoted, promotion: Promotion) -> Break:
    ref = f"models:/{model.name}@{promotion.alias}"
    now, last = _now(model, promotion), promotion.version
    return Break(
        Check.MOVED,
        ref,
        f"{ref} is {f'version {now}' if now else 'on no version'}, and was given to"
        f" {f'version {last}' if last else 'none'} at {promotion.at:%Y-%m-%d %H:%M} UTC: somebody"
        " moved it by hand; move it back, or say why with"
        f" `{_because(model.name, promotion.alias)}`.",
    )


def _because(name: str, alias: str) -> str:
    return f'lineage when models:/{name}@{alias} --because "…"'
