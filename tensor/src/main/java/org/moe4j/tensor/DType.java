package org.moe4j.tensor;

import org.bytedeco.pytorch.global.torch.ScalarType;

/** Element types, with their width in bytes and their name in a safetensors header. */
public enum DType {
  F64(ScalarType.Double, 8, "F64"),
  F32(ScalarType.Float, 4, "F32"),
  F16(ScalarType.Half, 2, "F16"),
  BF16(ScalarType.BFloat16, 2, "BF16"),
  F8_E4M3(ScalarType.Float8_e4m3fn, 1, "F8_E4M3"),
  /** Powers of two, 2^(byte - 127), as block scales have them; no type to compute in. */
  F8_E8M0(ScalarType.Float8_e8m0fnu, 1, "F8_E8M0"),
  I64(ScalarType.Long, 8, "I64"),
  I32(ScalarType.Int, 4, "I32"),
  I16(ScalarType.Short, 2, "I16"),
  I8(ScalarType.Char, 1, "I8"),
  U8(ScalarType.Byte, 1, "U8"),
  BOOL(ScalarType.Bool, 1, "BOOL");

  private final ScalarType scalarType;
  private final int bytes;
  private final String label;

  DType(ScalarType scalarType, int bytes, String label) {
    this.scalarType = scalarType;
    this.bytes = bytes;
    this.label = label;
  }

  /** Width of one element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** The name of this type in safetensors headers, for instance {@code BF16}. */
  public String label() {
    return label;
  }

  /** True for the floating-point types with a sign, the only ones that can carry gradients. */
  public boolean isFloating() {
    return switch (this) {
      case F64, F32, F16, BF16, F8_E4M3 -> true;
      default -> false;
    };
  }

  ScalarType scalarType() {
    return scalarType;
  }

  static DType of(ScalarType type) {
    for (DType d : values()) {
      if (d.scalarType.value == type.value) {
        return d;
      }
    }
    throw new MoeException(
        "libtorch's element type " + type.intern() + " has no counterpart in DType");
  }
}
