import os
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
os.environ["GANZFELD_CACHE"] = str(Path(tempfile.gettempdir()) / "ganzfeld-tests")
torch.set_num_threads(1)
