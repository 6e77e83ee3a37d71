"""What Hydra finds: it accepts a sweeper only from a package named hydra_plugins.

No __init__.py beside this file, or other plugins vanish.
"""

from pipeline.study.sweeper import CaviarSweeper as _Sweeper


class CaviarSweeper(_Sweeper):
    """pipeline.study.sweeper.CaviarSweeper under the name that Hydra looks for."""
