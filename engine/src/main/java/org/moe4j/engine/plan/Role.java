package org.moe4j.engine.plan;

/** What a tensor is for, told from its name. */
public enum Role {
  EMBEDDING("embedding"),
  ATTENTION("attention"),
  ROUTER("router"),
  SHARED("shared experts"),
  ROUTED("routed experts"),
  DENSE("dense networks"),
  OUTPUT("output"),
  REST("norms and the rest");

  private final String label;

  Role(String label) {
    this.label = label;
  }

  /** For people. */
  public String label() {
    return label;
  }

  /** That of the tensor of this name. */
  public static Role of(String tensor) {
    String name = tensor.replaceFirst("^blk\\.\\d+\\.", "");
    boolean layer = name.length() < tensor.length();
    if (!layer) {
      return name.startsWith("token_embd.")
          ? EMBEDDING
          : name.startsWith("output.") ? OUTPUT : REST;
    }
    if (name.contains("_shexp")) {
      return SHARED;
    }
    if (name.endsWith("_exps.weight")) {
      return ROUTED;
    }
    if (name.startsWith("ffn_gate_inp") || name.startsWith("exp_probs")) {
      return ROUTER;
    }
    if (name.contains("norm")) {
      return REST;
    }
    return name.startsWith("attn_") ? ATTENTION : name.startsWith("ffn_") ? DENSE : REST;
  }
}
