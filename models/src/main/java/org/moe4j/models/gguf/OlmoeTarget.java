package org.moe4j.models.gguf;

import java.util.Set;
import org.moe4j.MoeConfig;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.GroupedQueryConfig.QkNorm;

/** {@code olmoe}: norms on whole queries and keys, a head of keys for every head of queries. */
final class OlmoeTarget extends GroupedTarget {
  @Override
  String label() {
    return "olmoe";
  }

  @Override
  Set<QkNorm> qkNorms() {
    return Set.of(QkNorm.WHOLE);
  }

  @Override
  boolean freeHeads() {
    return false;
  }

  @Override
  boolean readsTiedHead() {
    return false;
  }

  @Override
  void routing(MoeConfig moe, Fit fit) {
    plainSoftmax(moe, false, fit);
  }

  @Override
  void further(DecoderConfig c, Fit fit) {
    if (c.attention() instanceof GroupedQueryConfig a) {
      fit.require(a.kvHeads() == a.heads(), "fewer heads of keys than of queries");
    }
  }
}
