package org.moe4j.engine.machine;

/** What an instruction reads besides its registers: one more register, or memory. */
sealed interface Operand {
  /** A 512-bit vector register, 0 to 31. */
  record Zmm(int number) implements Operand {}

  /**
   * Memory at {@code base + index + displacement}.
   *
   * @param index {@link Gpr#RSP} for none, as in the encoding
   * @param broadcast whether one number of 32 bits there stands for all 16 of a vector
   */
  record Address(Gpr base, Gpr index, int displacement, boolean broadcast) implements Operand {
    /** The same memory, one number of it in every lane. */
    Address each() {
      return new Address(base, index, displacement, true);
    }

    /** Memory {@code bytes} further. */
    Address plus(int bytes) {
      return new Address(base, index, displacement + bytes, broadcast);
    }
  }

  /** Register {@code number}. */
  static Zmm zmm(int number) {
    return new Zmm(number);
  }

  /** Memory at {@code base + displacement}. */
  static Address at(Gpr base, int displacement) {
    return new Address(base, Gpr.RSP, displacement, false);
  }

  /** Memory at {@code base + index + displacement}. */
  static Address at(Gpr base, Gpr index, int displacement) {
    return new Address(base, index, displacement, false);
  }
}
