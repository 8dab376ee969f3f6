package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.machine.ByteRecord;
import org.moe4j.engine.machine.MachineKernels;
import org.moe4j.engine.machine.WeightFormat;

/** Machine code against its rule, number by number; bits must be equal. */
class MachineMatrixTest {
  private static final int MOST = 40;
  private static String before = "auto";
  private static Optional<MachineKernels> kernels = Optional.empty();

  @BeforeAll
  static void assemble() {
    before = System.getProperty("moe4j.kernels", "auto");
    System.setProperty("moe4j.kernels", "machine");
    kernels = MachineChoice.wanted();
    assumeThat(kernels).as(MachineChoice.description()).isPresent();
  }

  @AfterAll
  static void forget() {
    System.setProperty("moe4j.kernels", before);
  }

  private static Activations activations(int columns, int rows) {
    Random random = new Random(7);
    Activations x = new Activations(columns);
    x.reserve(rows);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        x.values()[x.at(r) + c] = (float) (random.nextGaussian() * Math.pow(10, r % 9 - 4));
      }
      x.quantise(r);
    }
    return x;
  }

  private static MemorySegment row(Activations x, int r) {
    return MemorySegment.ofAddress(x.bytes().address(r)).reinterpret(x.bytes().rowBytes());
  }

  /** All products, by calls of {@code count} rows of x from the last to the first. */
  private static float[][] product(Matrix w, Activations x, int count) {
    int[] rows = IntStream.range(0, count).map(i -> count - 1 - i).toArray();
    float[][] all = new float[count][w.rows()];
    float[] out = new float[count * Matrix.PANEL];
    for (int p = 0; p < w.panels(); p++) {
      w.multiply(p, x, rows, 0, count, out);
      for (int i = 0; i < count; i++) {
        int n = Math.min(Matrix.PANEL, w.rows() - p * Matrix.PANEL);
        System.arraycopy(out, i * Matrix.PANEL, all[rows[i]], p * Matrix.PANEL, n);
      }
    }
    return all;
  }

  private static Matrix pack(GgufTensor stored, int rows, Arena arena) {
    WeightFormat format = MachineChoice.format(stored.type()).orElseThrow();
    int columns = stored.columns();
    long bytes = MachineMatrix.panelBytes(format, columns) * Math.ceilDiv(rows, 64);
    MemorySegment packed = arena.allocate(bytes, 64);
    new MachinePacking(
            kernels.orElseThrow(),
            format,
            rows,
            columns,
            stored.data(),
            (from, to) -> to.copyFrom(from))
        .all(packed);
    return new MachineMatrix(kernels.orElseThrow(), format, rows, columns, packed);
  }

  private static void assertRule(GgufTensor stored, int rows, Activations x, int count) {
    try (Arena arena = Arena.ofConfined()) {
      float[][] all = product(pack(stored, rows, arena), x, count);
      for (int i = 0; i < count; i++) {
        for (int r = 0; r < rows; r++) {
          float expected = MachineRule.product(stored, r, row(x, i));
          assertThat(all[i][r]).as("row %d of x, row %d", i, r).isEqualTo(expected);
        }
      }
    }
  }

  static WeightFormat[] formats() {
    return WeightFormat.values();
  }

  private static GgmlType type(WeightFormat format) {
    return GgmlType.valueOf(format.name());
  }

  @ParameterizedTest
  @MethodSource("formats")
  void bitsAreThoseOfTheRuleForAnyNumberOfRows(WeightFormat format) {
    int columns = 3 * format.blockColumns();
    Activations x = activations(columns, MOST);
    GgufTensor stored = RandomBlocks.tensor(type(format), columns, 150, 1);
    assertRule(stored, 150, x, MOST);
    try (Arena arena = Arena.ofConfined()) {
      Matrix w = pack(stored, 150, arena);
      float[][] all = product(w, x, MOST);
      for (int count = 1; count < MOST; count++) {
        assertThat(product(w, x, count)).isDeepEqualTo(Arrays.copyOf(all, count));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 33, 63, 64, 65})
  void lastPanelsMayBeOfAnySize(int rows) {
    for (WeightFormat format : formats()) {
      int columns = format.blockColumns();
      GgufTensor stored = RandomBlocks.tensor(type(format), columns, rows, 1);
      assertRule(stored, rows, activations(columns, 3), 3);
    }
  }

  /** Codes at their limits, and scales that are zero, subnormal and the largest there are. */
  @ParameterizedTest
  @MethodSource("formats")
  void extremesAreExact(WeightFormat format) {
    GgmlType type = type(format);
    int columns = 2 * format.blockColumns();
    Activations x = activations(columns, 4);
    byte[] codes = {-128, 127, 0, -127};
    float[] scales = {65504, 0x1p-24f, 0, 0x1p-14f};
    for (int i = 0; i < 4; i++) {
      MemorySegment row = row(x, i);
      for (long b = 0; b < row.byteSize(); b += ByteRecord.BYTES) {
        row.asSlice(b, 32).fill(codes[i]);
        int sum = 32 * codes[i];
        row.set(ValueLayout.JAVA_FLOAT, b + ByteRecord.SCALE, scales[i]);
        row.set(ValueLayout.JAVA_INT, b + ByteRecord.MINUS_8_SUM, -8 * sum);
        row.set(ValueLayout.JAVA_INT, b + ByteRecord.MINUS_32_FIRST, -16 * sum);
        row.set(ValueLayout.JAVA_FLOAT, b + ByteRecord.SCALED_SUM, scales[i] * sum);
      }
    }
    for (int fill : new int[] {0x00, 0xff, 0x0f, 0xf0, 0x80, 0x7f}) {
      GgufTensor stored = RandomBlocks.tensor(type, columns, 5, 1);
      MemorySegment data = stored.data();
      short[] halves = {0x7bff, 1, 0, (short) 0x8001, 0x3c00};
      for (int block = 0; block < data.byteSize() / type.bytes(); block++) {
        data.asSlice((long) block * type.bytes(), type.bytes()).fill((byte) fill);
        for (int at : RandomBlocks.scales(type)) {
          data.set(
              ValueLayout.JAVA_SHORT_UNALIGNED,
              (long) block * type.bytes() + at,
              halves[(block + fill) % halves.length]);
        }
      }
      assertRule(stored, 5, x, 4);
    }
  }

  /** For its first use, its second and all others, whatever the number of rows of x. */
  @ParameterizedTest
  @MethodSource("formats")
  void bitsDoNotDependOnWhenAPanelIsPacked(WeightFormat format) {
    int columns = 2 * format.blockColumns();
    Activations x = activations(columns, 11);
    GgufTensor stored = RandomBlocks.tensor(type(format), columns, 150, 2);
    try (Arena arena = Arena.ofConfined()) {
      Packing packing = new Packing(arena, false);
      float[][] expected = product(packing.pack(stored, 1, 150), x, 11);
      Matrix late = packing.packLater(stored, 1, 150);
      assertThat(late).isInstanceOf(LateMatrix.class);
      for (int count : new int[] {11, 1, 11, 2}) {
        assertThat(product(late, x, count)).isDeepEqualTo(Arrays.copyOf(expected, count));
      }
    }
  }

  /** Of 6 panels, of which some are packed for good and others are not. */
  @ParameterizedTest
  @MethodSource("formats")
  void panelsTogetherGiveTheBitsOfEachAlone(WeightFormat format) {
    int columns = 2 * format.blockColumns();
    int[] all = IntStream.range(0, 11).toArray();
    Activations x = activations(columns, 11);
    GgufTensor stored = RandomBlocks.tensor(type(format), columns, 384, 2);
    try (Arena arena = Arena.ofConfined()) {
      Packing packing = new Packing(arena, false);
      Matrix whole = packing.pack(stored, 1, 384);
      for (int count = 0; count <= 11; count++) {
        LateMatrix late = (LateMatrix) packing.packLater(stored, 1, 384);
        late.keep(1);
        late.keep(2);
        for (Matrix m : new Matrix[] {whole, late}) {
          float[] alone = new float[count * Matrix.PANEL];
          float[] together = new float[3 * count * Matrix.PANEL];
          for (int panel = 0; panel < 6; ) {
            int done = m.multiply(panel, 6 - panel, x, all, 0, count, together);
            assertThat(done).isBetween(1, 3);
            assertThat(m == late || count == 0 || count > 5 || panel > 3 || done == 3).isTrue();
            for (int i = 0; i < done; i++) {
              m.multiply(panel + i, x, all, 0, count, alone);
              int at = i * count * Matrix.PANEL;
              assertThat(Arrays.copyOfRange(together, at, at + count * Matrix.PANEL))
                  .containsExactly(alone);
            }
            panel += done;
          }
        }
      }
    }
  }

  @Test
  void rowsAreRoundedPartByPart() {
    int columns = 144;
    Activations whole = activations(columns, 3);
    Activations parts = new Activations(columns);
    parts.reserve(3);
    for (int r = 0; r < 3; r++) {
      System.arraycopy(whole.values(), whole.at(r), parts.values(), parts.at(r), columns);
      parts.quantise(r, 128, 16);
      parts.quantise(r, 0, 64);
      parts.quantise(r, 64, 64);
      assertThat(row(parts, r).mismatch(row(whole, r))).isEqualTo(-1);
    }
  }

  @Test
  void whatIsLeftIsPackedPartByPart() {
    int columns = 64;
    Activations x = activations(columns, 3);
    GgufTensor stored = RandomBlocks.tensor(GgmlType.Q8_0, columns, 150, 2);
    AtomicInteger reads = new AtomicInteger();
    Packing.Copy counted =
        (from, to) -> {
          reads.incrementAndGet();
          to.copyFrom(from);
        };
    try (Arena arena = Arena.ofShared();
        Workers workers = new Workers(2)) {
      Packing packing = new Packing(arena, false, counted);
      Matrix first = packing.packLater(stored, 0, 150);
      Matrix second = packing.packLater(stored, 1, 150);
      float[][] expected = product(second, x, 3);
      assertThat(reads).hasValue(3);
      packing.late().pack(first.bytes() + 1, workers);
      assertThat(reads).hasValue(3 + 4);
      packing.late().pack(Long.MAX_VALUE, workers);
      packing.late().pack(Long.MAX_VALUE, workers);
      assertThat(reads).hasValue(3 + 6);
      assertThat(product(second, x, 3)).isDeepEqualTo(expected);
      assertThat(reads).hasValue(3 + 6);
    }
  }

  @Test
  void aPanelThatCannotBeReadIsAskedForAgain() {
    Activations x = activations(64, 1);
    GgufTensor stored = RandomBlocks.tensor(GgmlType.Q8_0, 64, 64, 1);
    AtomicInteger reads = new AtomicInteger();
    Packing.Copy second =
        (from, to) -> {
          if (reads.incrementAndGet() == 2) {
            throw new EngineException("gone");
          }
          to.copyFrom(from);
        };
    try (Arena arena = Arena.ofConfined()) {
      Matrix late = new Packing(arena, false, second).packLater(stored, 0, 64);
      float[][] expected = product(late, x, 1);
      assertThatThrownBy(() -> product(late, x, 1)).hasMessage("gone");
      assertThat(product(late, x, 1)).isDeepEqualTo(expected);
      assertThat(product(late, x, 1)).isDeepEqualTo(expected);
      assertThat(reads).hasValue(3);
    }
  }

  @Test
  void fourBitsGiveTheBitsOfVectors() {
    int columns = 160;
    GgufTensor stored = RandomBlocks.tensor(GgmlType.Q4_0, columns, 100, 1);
    Activations x = activations(columns, 11);
    try (Arena arena = Arena.ofConfined()) {
      float[][] machine = product(new Packing(arena, false).pack(stored, 0, 100), x, 11);
      System.setProperty("moe4j.kernels", "vector");
      float[][] vector =
          product(new Packing(arena, false).pack(stored, 0, 100), activations(columns, 11), 11);
      assertThat(machine).isDeepEqualTo(vector);
    } finally {
      System.setProperty("moe4j.kernels", "machine");
    }
  }

  @Test
  void rowsAreRoundedByTheRule() {
    int columns = 7 * 32;
    Activations x = new Activations(columns);
    x.reserve(2);
    Random random = new Random(8);
    float[] sizes = {1, 0, 1e-6f, 0x1p-148f, 1e5f, 1e30f, 127};
    for (int r = 0; r < 2; r++) {
      for (int c = 0; c < columns; c++) {
        float number = r == 0 ? (float) random.nextGaussian() : (random.nextInt(255) - 127) / 127f;
        x.values()[x.at(r) + c] = number * sizes[c / 32];
      }
      x.values()[x.at(r) + 6 * 32] = 127; // codes are whole numbers and halves: ties
      for (int c = 6 * 32 + 1; c < 7 * 32; c++) {
        x.values()[x.at(r) + c] = random.nextInt(253) / 2f - 63;
      }
      x.quantise(r);
      for (int b = 0; b < 7; b++) {
        assertRecord(x.values(), x.at(r) + 32 * b, row(x, r).asSlice(b * 48L, 48));
      }
    }
  }

  private static void assertRecord(float[] values, int from, MemorySegment record) {
    float most = 0;
    for (int i = 0; i < 32; i++) {
      most = Math.max(most, Math.abs(values[from + i]));
    }
    float scale = Float.float16ToFloat(Float.floatToFloat16(most / 127));
    assertThat(record.get(ValueLayout.JAVA_FLOAT, ByteRecord.SCALE)).isEqualTo(scale);
    if (scale == 0) {
      return; // whatever the codes are
    }
    int first = 0;
    int sum = 0;
    for (int i = 0; i < 32; i++) {
      int code = (int) Math.rint(values[from + i] * (127 / most));
      assertThat(record.get(ValueLayout.JAVA_BYTE, i)).isEqualTo((byte) code);
      sum += code;
      first += i < 16 ? code : 0;
    }
    assertThat(record.get(ValueLayout.JAVA_INT, ByteRecord.MINUS_8_SUM)).isEqualTo(-8 * sum);
    assertThat(record.get(ValueLayout.JAVA_INT, ByteRecord.MINUS_32_FIRST)).isEqualTo(-32 * first);
    assertThat(record.get(ValueLayout.JAVA_FLOAT, ByteRecord.SCALED_SUM)).isEqualTo(scale * sum);
  }

  @ParameterizedTest
  @EnumSource(names = {"Q4_0", "Q8_0", "Q4_K", "Q6_K"})
  void memoryIsThatOfTheFileForWholePanels(GgmlType type) {
    try (Arena arena = Arena.ofConfined()) {
      int columns = 512;
      GgufTensor stored = RandomBlocks.tensor(type, columns, 128, 1);
      Matrix w = new Packing(arena, false).pack(stored, 0, 128);
      assertThat(w).isInstanceOf(MachineMatrix.class);
      assertThat(w.bytes()).isEqualTo(stored.data().byteSize());
    }
  }
}
