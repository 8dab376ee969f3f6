package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/**
 * A number per expert that the selection alone sees (S56): combine weights never contain it. It is
 * state of type F32 whatever the model's type, since steps of 0.001 vanish in BF16.
 *
 * @param form how it meets the scores
 * @param values {@code gate.e_score_correction_bias} [E]
 */
public record SelectionBias(Form form, Parameter values) {
  /** How the bias meets the scores. */
  public enum Form {
    /** s + b, b starts at 0: the paper's method and DeepSeek-V3. */
    ADDITIVE,
    /** s * b, b starts at 1: the paper's slightly worse variant. */
    MULTIPLICATIVE
  }

  /** Makes the state in {@code store}. */
  static SelectionBias in(ParameterStore store, Form form, int experts, int layer) {
    Tensor start = Tensor.full(form == Form.ADDITIVE ? 0 : 1, DType.F32, store.device(), experts);
    return new SelectionBias(form, store.state("gate.e_score_correction_bias", layer, start));
  }

  /** What the selection goes by: scores [T,E] in F32, or in F64 if they are. */
  Tensor applied(Tensor scores) {
    DType type = scores.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor wide = scores.to(type);
    Tensor bias = values.tensor().to(type);
    return form == Form.ADDITIVE ? wide.add(bias) : wide.mul(bias);
  }
}
