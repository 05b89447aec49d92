"""The options of config groups, listed for `--help` and Tab without needless work."""

from typing import Any


def list_without_copies() -> None:
    """Let Hydra look its config groups up as it has them.

    Hydra 1.3 copies all that it has read before it lists a group, and lists each of our 40 groups
    three times: half of the time of `--help`. The copy guards against another search path, which
    only a config or an override can bring.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.object_type import ObjectType

    hydras = ConfigLoaderImpl.get_group_options

    def get_group_options(
        self: Any,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        if config_name or overrides:
            return list(hydras(self, group_name, results_filter, config_name, overrides))
        return list(self.repository.get_group_options(group_name, results_filter))

    ConfigLoaderImpl.get_group_options = get_group_options  # type: ignore[method-assign]
