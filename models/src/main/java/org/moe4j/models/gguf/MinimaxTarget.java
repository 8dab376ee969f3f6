package org.moe4j.models.gguf;

import java.util.Set;
import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.GroupedQueryConfig.QkNorm;

/**
 * {@code minimax-m2}: norms on whole queries and keys, weights that are divided by their sum,
 * sigmoid or softmax.
 */
final class MinimaxTarget extends GroupedTarget {
  @Override
  String label() {
    return "minimax-m2";
  }

  @Override
  Set<QkNorm> qkNorms() {
    return Set.of(QkNorm.WHOLE);
  }

  @Override
  boolean takesQkvBias() {
    return false;
  }

  @Override
  boolean rotatesPart() {
    return true;
  }

  @Override
  boolean readsTiedHead() {
    return false;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    fit.require(moe.sharedWidth() == 0, "a shared expert");
    boolean fits =
        SparseParts.gates(moe)
            .filter(g -> g.normalised() && g.scale() == 1 && g.limit().groups() == 1)
            .isPresent();
    fit.require(fits, "its gating (renormalised weights alone are known)");
    fit.require(!SparseParts.biased(moe), "a bias on the router's logits");
  }

  @Override
  void more(DecoderConfig c, GroupedQueryConfig a, Keys keys) {
    SparseParts.moe(c)
        .flatMap(SparseParts::gates)
        .ifPresent(g -> keys.put("expert_gating_func", g.sigmoid() ? 2 : 1));
  }

  @Override
  void blank(DecoderConfig c, GroupedQueryConfig a, String at, TensorTable table) {
    SparseParts.moe(c)
        .filter(moe -> SparseParts.gates(moe).filter(Gates::biased).isEmpty())
        .ifPresent(moe -> table.constant(at + "exp_probs_b.bias", new float[moe.experts()]));
  }
}
