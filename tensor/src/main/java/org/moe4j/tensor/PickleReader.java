package org.moe4j.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.function.Function;
import org.moe4j.tensor.PickleValue.Bool;
import org.moe4j.tensor.PickleValue.Dict;
import org.moe4j.tensor.PickleValue.Int;
import org.moe4j.tensor.PickleValue.Items;
import org.moe4j.tensor.PickleValue.Nothing;
import org.moe4j.tensor.PickleValue.Real;
import org.moe4j.tensor.PickleValue.Text;
import org.moe4j.tensor.PickleValue.Tuple;

/**
 * Reads a pickle as data. Python's pickle is a program for a stack machine that can import and call
 * anything; this machine knows the opcodes that plain data needs, and leaves to its {@link Globals}
 * which few names exist and what a call of one makes. Opcodes: CPython's {@code pickletools}.
 */
final class PickleReader {
  /**
   * Opcodes, and arguments of calls, in one pickle: some 200 000 tensors. It bounds what a small
   * file can make of one-byte opcodes.
   */
  private static final int MOST_STEPS = 1 << 22;

  /** What a pickle may name. */
  interface Globals {
    /** The value of a global, or a MoeException that names it. */
    PickleValue global(String module, String name);

    /** What {@code function(args)} makes. */
    PickleValue call(PickleValue function, List<PickleValue> args);

    /** What a persistent id stands for. */
    PickleValue persistent(PickleValue id);
  }

  private final ByteBuffer in;
  private final String where;
  private final Globals globals;
  private final ArrayList<PickleValue> stack = new ArrayList<>();
  private final ArrayList<Integer> marks = new ArrayList<>();
  private final ArrayList<PickleValue> memo = new ArrayList<>();
  private long steps;

  private PickleReader(byte[] pickle, String where, Globals globals) {
    this.in = ByteBuffer.wrap(pickle).order(ByteOrder.LITTLE_ENDIAN);
    this.where = where;
    this.globals = globals;
  }

  /**
   * Reads one pickle.
   *
   * @param where what to call it in messages
   * @throws MoeException if it is damaged, or does what plain data does not need
   */
  static PickleValue read(byte[] pickle, String where, Globals globals) {
    return new PickleReader(pickle, where, globals).run();
  }

  private PickleValue run() {
    while (true) {
      int opcode = u8();
      spend(1);
      if (opcode == '.') {
        PickleValue result = pop();
        if (in.hasRemaining() || !stack.isEmpty() || !marks.isEmpty()) {
          throw failure("more follows its end");
        }
        return result;
      }
      step(opcode);
    }
  }

  private void spend(long n) {
    steps += n;
    if (steps > MOST_STEPS) {
      throw failure("more than " + MOST_STEPS + " steps");
    }
  }

  private void step(int opcode) {
    switch (opcode) {
      case 0x80 -> protocol();
      case 0x95 -> frame();
      case '(' -> marks.add(stack.size());
      case 'N' -> stack.add(Nothing.NONE);
      case 0x88 -> stack.add(Bool.TRUE);
      case 0x89 -> stack.add(Bool.FALSE);
      case 'J' -> stack.add(new Int(need(4).getInt()));
      case 'K' -> stack.add(new Int(u8()));
      case 'M' -> stack.add(new Int(Short.toUnsignedInt(need(2).getShort())));
      case 0x8a -> stack.add(longInteger(u8()));
      case 'G' -> stack.add(new Real(Double.longBitsToDouble(Long.reverseBytes(long64()))));
      case 'X', 'T' -> stack.add(text(Integer.toUnsignedLong(need(4).getInt())));
      case 0x8c, 'U' -> stack.add(text(u8()));
      case 0x8d -> stack.add(text(long64()));
      case ')' -> stack.add(new Tuple(List.of()));
      case 't' -> stack.add(new Tuple(popToMark()));
      case 0x85 -> stack.add(new Tuple(popLast(1)));
      case 0x86 -> stack.add(new Tuple(popLast(2)));
      case 0x87 -> stack.add(new Tuple(popLast(3)));
      case ']' -> stack.add(new Items(new ArrayList<>()));
      case 'a' -> append(popLast(1));
      case 'e' -> append(popToMark());
      case '}' -> stack.add(new Dict(new LinkedHashMap<>()));
      case 's' -> put(popLast(2));
      case 'u' -> put(popToMark());
      case 'b' -> build();
      case 'q' -> memoize(u8());
      case 'r' -> memoize(Integer.toUnsignedLong(need(4).getInt()));
      case 0x94 -> memoize(memo.size());
      case 'h' -> stack.add(recall(u8()));
      case 'j' -> stack.add(recall(Integer.toUnsignedLong(need(4).getInt())));
      case 'c' -> stack.add(globals.global(line(), line()));
      case 0x93 -> onTop(this::global);
      case 'R' -> onTop(this::call);
      case 'Q' -> stack.add(globals.persistent(pop()));
      default ->
          throw failure(
              String.format(
                  "the opcode 0x%02x at byte %d, which no state dict needs",
                  opcode, in.position() - 1));
    }
  }

  private void onTop(Function<List<PickleValue>, PickleValue> f) {
    stack.add(f.apply(popLast(2)));
  }

  private void protocol() {
    int version = u8();
    if (version > 5) {
      throw failure("it is of pickle protocol " + version + ", known are 2 to 5");
    }
  }

  private void frame() {
    long bytes = long64();
    if (bytes < 0 || bytes > in.remaining()) {
      throw cut();
    }
  }

  private Int longInteger(int bytes) {
    if (bytes > 8) {
      throw failure("an integer of " + bytes + " bytes");
    }
    need(bytes);
    long value = 0;
    for (int i = 0; i < bytes; i++) {
      long b = in.get();
      // The last byte carries the sign.
      value |= (i == bytes - 1 ? b : b & 0xff) << (8 * i);
    }
    return new Int(value);
  }

  private Text text(long bytes) {
    ByteBuffer slice = need(bytes).slice(in.position(), (int) bytes);
    in.position(in.position() + (int) bytes);
    try {
      return new Text(StandardCharsets.UTF_8.newDecoder().decode(slice).toString());
    } catch (CharacterCodingException e) {
      throw failure("a string that is not UTF-8");
    }
  }

  /** The text up to the next line feed. */
  private String line() {
    int start = in.position();
    while (u8() != '\n') {
      spend(1);
    }
    return new String(in.array(), start, in.position() - 1 - start, StandardCharsets.UTF_8);
  }

  private void append(List<PickleValue> values) {
    if (!(top() instanceof Items list)) {
      throw failure("it appends to what is no list");
    }
    list.items().addAll(values);
  }

  private void put(List<PickleValue> keysAndValues) {
    if (!(top() instanceof Dict dict) || keysAndValues.size() % 2 != 0) {
      throw failure("it sets entries of what is no dict");
    }
    for (int i = 0; i < keysAndValues.size(); i += 2) {
      if (!(keysAndValues.get(i) instanceof Text key)) {
        throw failure("a dict's key is not a string");
      }
      if (dict.entries().put(key.value(), keysAndValues.get(i + 1)) != null) {
        throw failure("two entries have the name " + Names.shown(key.value()));
      }
    }
  }

  /** State dicts carry attributes (module versions) that no tensor depends on. */
  private void build() {
    if (!(pop() instanceof Dict) || !(top() instanceof Dict)) {
      throw failure("it sets attributes of what is no OrderedDict");
    }
  }

  private PickleValue global(List<PickleValue> pair) {
    if (pair.get(0) instanceof Text module && pair.get(1) instanceof Text name) {
      return globals.global(module.value(), name.value());
    }
    throw failure("a global without a name");
  }

  private PickleValue call(List<PickleValue> functionAndArgs) {
    if (!(functionAndArgs.get(1) instanceof Tuple args)) {
      throw failure("a call without arguments");
    }
    for (PickleValue arg : args.items()) {
      if (arg instanceof Tuple t) {
        spend(t.items().size());
      }
    }
    return globals.call(functionAndArgs.get(0), args.items());
  }

  private void memoize(long index) {
    if (index > memo.size()) {
      throw failure("a memo entry " + index + " after " + memo.size());
    }
    if (index == memo.size()) {
      memo.add(top());
    } else {
      memo.set((int) index, top());
    }
  }

  private PickleValue recall(long index) {
    if (index >= memo.size()) {
      throw failure("the memo has no entry " + index);
    }
    return memo.get((int) index);
  }

  private PickleValue top() {
    if (stack.size() <= floor()) {
      throw failure("its stack is empty");
    }
    return stack.getLast();
  }

  private PickleValue pop() {
    top();
    return stack.removeLast();
  }

  private List<PickleValue> popLast(int n) {
    if (stack.size() - n < floor()) {
      throw failure("its stack is empty");
    }
    return popFrom(stack.size() - n);
  }

  private List<PickleValue> popToMark() {
    if (marks.isEmpty()) {
      throw failure("a mark is missing");
    }
    return popFrom(marks.removeLast());
  }

  private List<PickleValue> popFrom(int start) {
    List<PickleValue> tail = stack.subList(start, stack.size());
    List<PickleValue> popped = List.copyOf(tail);
    tail.clear();
    return popped;
  }

  /** Nothing under the innermost mark can be taken. */
  private int floor() {
    return marks.isEmpty() ? 0 : marks.getLast();
  }

  private int u8() {
    return Byte.toUnsignedInt(need(1).get());
  }

  private long long64() {
    return need(8).getLong();
  }

  private ByteBuffer need(long bytes) {
    if (bytes < 0 || bytes > in.remaining()) {
      throw cut();
    }
    return in;
  }

  private MoeException cut() {
    return failure("it is cut at byte " + in.limit());
  }

  private MoeException failure(String problem) {
    return new MoeException(where + ": not a sound pickle: " + problem);
  }
}
