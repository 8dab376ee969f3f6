package org.moe4j.models.gguf;

import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** {@code ernie4_5-moe}: dense layers first, a softmax that may have a bias for the selection. */
final class ErnieMoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "ernie4_5-moe";
  }

  @Override
  boolean neighbours() {
    return true;
  }

  @Override
  SparseParts.Dense dense() {
    return SparseParts.Dense.FIRST;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    boolean fits =
        SparseParts.gates(moe)
            .filter(g -> !g.sigmoid() && g.normalised() && g.scale() == 1)
            .filter(g -> g.limit().groups() == 1)
            .isPresent();
    fit.require(fits, "its gating (renormalised softmax alone is known)");
    fit.require(!SparseParts.biased(moe), "a bias on the router's logits");
    fit.require(!moe.sharedGate(), "a gate on the shared expert");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    keys.put("leading_dense_block_count", SparseParts.leading(c))
        .put("interleave_moe_layer_step", 1);
    SparseParts.moe(c)
        .filter(moe -> moe.sharedWidth() > 0)
        .ifPresent(
            moe ->
                keys.put("expert_shared_feed_forward_length", moe.sharedWidth())
                    .put(
                        "expert_shared_count", Math.ceilDiv(moe.sharedWidth(), moe.expertWidth())));
  }
}
