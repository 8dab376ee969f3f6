"""What one fixture is: a family, a setting, and how its checkpoint lies on disk."""
from dataclasses import dataclass, field
from typing import Callable


@dataclass(frozen=True)
class Spec:
    """A tiny checkpoint.

    name: directory, `<model_type>-<setting>`
    model_type: key of the configuration in transformers
    config: arguments of the configuration, in the spelling of transformers 5
    router: how experts are selected, a key of `oracle.SELECTION`
    style: spelling of config.json, "4x" or "5x"
    dtype: of the tensors on disk; those matching `keep32` stay F32
    lengths: of the two prompts
    scale: pattern of tensor names -> factor on their standard deviation
    extra_config, drop_config: keys added to and removed from config.json, None of which
        transformers 5.18 needs
    fused: keep the tensor names and layouts that transformers 5 has in memory
    same_as: reuse the seed of that fixture (same weights, other layout)
    layout: changes to the tensors on disk (added, quantised), called with tensors and model
    exact: rounds the random weights of the model to what `layout` can store
    plain: undoes a quantising `layout` by code of our own; the model is then loaded from that
    patch: change of transformers' behaviour on the loaded model, stated in the README
    require: further conditions, given model and prompts; returns a complaint or None
    batch_is_single: whether rows of the padded batch must equal the single prompts
    load: arguments of from_pretrained with which transformers undoes `layout` itself
    safe: smallest distance of a selection score or greedy logit from a tie
    """

    name: str
    model_type: str
    config: dict
    router: str
    style: str = "5x"
    dtype: str = "bfloat16"
    keep32: str = r"e_score_correction_bias|gate\.wg\.weight"
    lengths: tuple = (17, 33)
    scale: dict = field(default_factory=dict)
    extra_config: dict = field(default_factory=dict)
    drop_config: tuple = ()
    fused: bool = False
    same_as: str = ""
    layout: Callable | None = None
    exact: Callable | None = None
    plain: Callable | None = None
    patch: Callable | None = None
    require: Callable | None = None
    batch_is_single: bool = True
    load: dict = field(default_factory=dict)
    safe: float = 2e-3
