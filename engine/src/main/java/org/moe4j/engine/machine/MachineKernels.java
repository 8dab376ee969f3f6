package org.moe4j.engine.machine;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import org.moe4j.engine.EngineException;

/**
 * Products of packed matrices, and sums of attention, by machine code. Addresses are taken as they
 * are: whoever gives them keeps what lies there until the call returns.
 */
public final class MachineKernels {
  /** Tokens that a call takes at most. */
  public static final int MOST_TOKENS = Tile.MOST;

  /** Rows of weights that a call of {@link #addHalves} takes at most. */
  public static final int MOST_WEIGHTS = SumsProgram.MOST;

  /** Where the code of each format begins, for each number of tokens. */
  private final Map<WeightFormat, MemorySegment[]> programs;

  /** Where the code that packs each format begins. */
  private final Map<WeightFormat, MemorySegment> packers;

  private final MemorySegment[] sums;
  private final MemorySegment quantise;
  private final MemorySegment fetch;

  private MachineKernels(
      Map<WeightFormat, MemorySegment[]> programs,
      Map<WeightFormat, MemorySegment> packers,
      MemorySegment[] sums,
      MemorySegment quantise,
      MemorySegment fetch) {
    this.programs = programs;
    this.packers = packers;
    this.sums = sums;
    this.quantise = quantise;
    this.fetch = fetch;
  }

  /**
   * Assembles the kernels. They stay in memory as long as the process lives.
   *
   * @throws EngineException if the machine has not what they need, or it or the JVM refuses
   *     executable memory
   */
  public static MachineKernels assemble() {
    Processor.lack()
        .ifPresent(
            why -> {
              throw new EngineException(why);
            });
    Assembler a = new Assembler();
    QuantiseProgram.write(a); // at the beginning
    a.align();
    int fetch = a.here();
    fetch(a);
    int[] sums = SumsProgram.all().stream().mapToInt(program -> sums(a, program)).toArray();
    Map<WeightFormat, int[]> starts = new EnumMap<>(WeightFormat.class);
    for (WeightFormat format : WeightFormat.values()) {
      starts.put(format, programs(a, format));
    }
    MemorySegment code = ExecutableMemory.of(a.code()).code();
    Map<WeightFormat, MemorySegment[]> programs = new EnumMap<>(WeightFormat.class);
    Map<WeightFormat, MemorySegment> packers = new EnumMap<>(WeightFormat.class);
    starts.forEach(
        (format, at) -> {
          MemorySegment[] all = addresses(code, at);
          programs.put(format, Arrays.copyOf(all, MOST_TOKENS));
          packers.put(format, all[MOST_TOKENS]);
        });
    return new MachineKernels(
        programs,
        packers,
        addresses(code, sums),
        code,
        MemorySegment.ofAddress(code.address() + fetch));
  }

  private static int sums(Assembler a, SumsProgram program) {
    a.align();
    int at = a.here();
    program.write(a);
    return at;
  }

  /** Four lines of the cache at a time, from one address to another. */
  private static void fetch(Assembler a) {
    int loop = a.here();
    for (int line = 0; line < 4; line++) {
      a.prefetcht1(Operand.at(Gpr.RDI, 64 * line));
    }
    a.add(Gpr.RDI, 256);
    a.cmp(Gpr.RDI, Gpr.RSI);
    a.jb(loop);
    a.ret();
  }

  /** Where the code for each number of tokens begins, and that which packs. */
  private static int[] programs(Assembler a, WeightFormat format) {
    int[] at = new int[MOST_TOKENS + 1];
    for (int t = 0; t < MOST_TOKENS; t++) {
      a.align();
      at[t] = a.here();
      TileProgram.write(a, format, t + 1);
    }
    a.align();
    at[MOST_TOKENS] = a.here();
    PackProgram.write(a, format);
    return at;
  }

  private static MemorySegment[] addresses(MemorySegment code, int[] starts) {
    return Arrays.stream(starts)
        .mapToObj(at -> MemorySegment.ofAddress(code.address() + at))
        .toArray(MemorySegment[]::new);
  }

  /**
   * Panels of 64 rows of weights that follow one another, times some rows of activations.
   *
   * @param tokens how many, 1 to {@link #MOST_TOKENS}
   * @param panel address of the first panel
   * @param bytes of all panels
   * @param rowBytes of a row of activations, see {@link ByteRecord}
   * @param rows address of the addresses of the rows
   * @param out address of the sums, 64 floats for each row, of one panel after the other
   */
  public void multiply(
      WeightFormat format, int tokens, long panel, long bytes, long rowBytes, long rows, long out) {
    call(programs.get(format)[tokens - 1], panel, rowBytes, rows, out, panel + bytes);
  }

  /**
   * Lays 32 stored rows out as half a panel.
   *
   * @param stored address of the first row
   * @param rowBytes of a stored row
   * @param packed address of the half's first block
   * @param places address of 32 ints, the bytes from the first row to each
   */
  public void pack(WeightFormat format, long stored, long rowBytes, long packed, long places) {
    call(packers.get(format), stored, packed, stored + rowBytes, places, 0);
  }

  /**
   * Rounds a row to 8 bits.
   *
   * @param values address of the floats, a multiple of 32 of them
   * @param row address of the first {@link ByteRecord}
   * @param rowBytes of all its records
   */
  public void quantise(long values, long row, long rowBytes) {
    call(quantise, values, row, row + rowBytes, 0, 0);
  }

  /**
   * Adds weighted rows of half-precision numbers to sums: sum = fma(number, weight, sum), rows in
   * order. While a row is read, memory {@code later} bytes behind it is brought near the processor.
   *
   * @param rows how many, at least 1, the first at {@code first}, one each {@code rowBytes}
   * @param columns numbers to take of each, a multiple of 32
   * @param weights rows of weights, 1 to {@link #MOST_WEIGHTS}, one each {@code wStride} floats
   * @param w begins with the weight of the first row
   * @param out begins with the first sum; those of another row of weights are {@code outStride}
   *     floats further
   */
  public void addHalves(
      long first,
      int rows,
      long rowBytes,
      int columns,
      MemorySegment w,
      int wStride,
      int weights,
      MemorySegment out,
      int outStride,
      long later) {
    MemorySegment code = sums[SumsProgram.index(weights, columns)];
    long end = first + rows * rowBytes;
    long sumsBytes = 4L * outStride;
    long columnBytes = 2L * columns;
    try {
      SumsCall.HANDLE.invokeExact(
          code, first, end, rowBytes, w, 4L * wStride, out, sumsBytes, columnBytes, later);
    } catch (RuntimeException | Error thrown) {
      throw thrown;
    } catch (Throwable thrown) {
      throw new AssertionError(thrown); // machine code throws nothing
    }
  }

  /** Brings memory that will be read soon near the processor. */
  public void fetch(long address, long bytes) {
    call(fetch, address, address + bytes, 0, 0, 0);
  }

  private static void call(MemorySegment code, long a, long b, long c, long d, long e) {
    try {
      Call.HANDLE.invokeExact(code, a, b, c, d, e);
    } catch (RuntimeException | Error thrown) {
      throw thrown;
    } catch (Throwable thrown) {
      throw new AssertionError(thrown); // machine code throws nothing
    }
  }

  /** Made when first called, so that a JVM that refuses has said so before. */
  private static final class Call {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

    static final MethodHandle HANDLE =
        Linker.nativeLinker()
            .downcallHandle(
                FunctionDescriptor.ofVoid(LONG, LONG, LONG, LONG, LONG),
                Linker.Option.critical(false));
  }

  /** Takes arrays as they lie in the heap, which stays as it is until the call returns. */
  private static final class SumsCall {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final ValueLayout POINTER = ValueLayout.ADDRESS;

    static final MethodHandle HANDLE =
        Linker.nativeLinker()
            .downcallHandle(
                FunctionDescriptor.ofVoid(
                    LONG, LONG, LONG, POINTER, LONG, POINTER, LONG, LONG, LONG),
                Linker.Option.critical(true));
  }
}
