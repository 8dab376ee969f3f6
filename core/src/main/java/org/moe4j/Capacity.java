package org.moe4j;

import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;
import org.moe4j.CapacityRule.Factor;
import org.moe4j.CapacityRule.Fixed;
import org.moe4j.CapacityRule.Fraction;
import org.moe4j.CapacityRule.Rounding;
import org.moe4j.CapacityRule.WholeTokens;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * How many choices an expert serves and which it drops. Code bases differ in every part of this, so
 * all of it is data; the named policies say whose they are.
 *
 * <p>Whether second choices are numbered from the kept first choices of their expert (GShard, Mesh)
 * or from all of them (fairseq, V-MoE) makes no difference to what is kept: both are full at the
 * same point. It is therefore not part of the data.
 *
 * @param train slots in training
 * @param eval slots in evaluation and decoding
 * @param group the tokens that share an expert's slots
 * @param order who comes first
 * @param rejectedTakeSlots a choice which the router's own policy turned down still uses up a slot
 *     (GShard's paper; its code does not)
 */
public record Capacity(
    CapacityRule train,
    CapacityRule eval,
    Grouping group,
    DropOrder order,
    boolean rejectedTakeSlots) {
  /** Nothing is dropped (S01, S25's dropless layer, and most models since). */
  public static final Capacity NONE =
      new Capacity(
          CapacityRule.UNLIMITED, CapacityRule.UNLIMITED, Grouping.BATCH, DropOrder.TOKEN, false);

  /** The same slots in training and evaluation. */
  public static Capacity of(CapacityRule rule, Grouping group, DropOrder order) {
    return new Capacity(rule, rule, group, order, false);
  }

  /** GShard's paper (S05): 2 S / E; a rejected second choice uses up its slot. */
  public static Capacity gshardPaper(Grouping group) {
    CapacityRule rule = new Factor(2, false, Rounding.FLOOR);
    return new Capacity(rule, rule, group, DropOrder.CHOICE, true);
  }

  /** Lingvo's code of GShard (S05): int(S factor / E) up to a multiple of 4, at least 4. */
  public static Capacity lingvo(double factor, Grouping group) {
    return of(
        new Factor(factor, false, false, Rounding.FLOOR, false, 4, 4), group, DropOrder.CHOICE);
  }

  /** Mesh TensorFlow (S05, S06, S18): max(4, min(S, int(S factor / E))), groups of about 1,024. */
  public static Capacity mesh(double train, double eval) {
    return new Capacity(
        new Factor(train, false, false, Rounding.FLOOR, true, 1, 4),
        new Factor(eval, false, false, Rounding.FLOOR, true, 1, 4),
        Grouping.tokensAtMost(1024),
        DropOrder.CHOICE,
        false);
  }

  /** The Switch paper (S06): factor T / E, whole slots; in token order. */
  public static Capacity switchPaper(double factor, Grouping group) {
    return of(new Factor(factor, false, Rounding.FLOOR), group, DropOrder.TOKEN);
  }

  /** Flaxformer (S06, S18): max(minimum, round-half-even(factor S / E)). */
  public static Capacity flaxformer(double train, double eval, long minimum, Grouping group) {
    return new Capacity(
        new Factor(train, false, false, Rounding.HALF_EVEN, false, 1, minimum),
        new Factor(eval, false, false, Rounding.HALF_EVEN, false, 1, minimum),
        group,
        DropOrder.CHOICE,
        false);
  }

  /** transformers' Switch (S06): a fixed number of slots per sequence, 64 unless configured. */
  public static Capacity huggingFaceSwitch(long slots) {
    return of(new Fixed(slots), Grouping.SEQUENCE, DropOrder.TOKEN);
  }

  /** V-MoE's code (S12): ceil(S k ratio / E) up to a multiple of 4. */
  public static Capacity vmoe(double train, double eval, Grouping group, DropOrder order) {
    return new Capacity(
        new Factor(train, true, false, Rounding.CEIL, false, 4, 0),
        new Factor(eval, true, false, Rounding.CEIL, false, 4, 0),
        group,
        order,
        false);
  }

  /** V-MoE's paper (S12): round(S k ratio / E). */
  public static Capacity vmoePaper(double ratio, Grouping group, DropOrder order) {
    return of(new Factor(ratio, true, Rounding.HALF_EVEN), group, order);
  }

  /** fairseq (S16): 2 ceil(T / E) in training, ceil(fraction T) in evaluation. */
  public static Capacity fairseq(double evalFraction) {
    return new Capacity(
        fairseqTraining(), new Fraction(evalFraction), Grouping.BATCH, DropOrder.CHOICE, false);
  }

  /** fairseq (S16) with the training formula in evaluation too. */
  public static Capacity fairseq() {
    return of(fairseqTraining(), Grouping.BATCH, DropOrder.CHOICE);
  }

  private static CapacityRule fairseqTraining() {
    return new Factor(2, false, true, Rounding.FLOOR, false, 1, 0);
  }

  /** MegaBlocks' capacity layer (S25): int(factor k T / E), in the order of the sorted tokens. */
  public static Capacity megablocks(double factor) {
    return of(new Factor(factor, true, Rounding.FLOOR), Grouping.BATCH, DropOrder.TOKEN);
  }

  /**
   * FastMoE's GShard gate (S08): max(1, 2 ceil(factor T) / E in whole numbers), both choices in
   * token order; a rejected second choice uses up its slot. The code leaves no slot to few tokens,
   * where 1 is kept here.
   */
  public static Capacity fastMoeGshard(double train, double eval) {
    return new Capacity(
        new WholeTokens(train), new WholeTokens(eval), Grouping.BATCH, DropOrder.TOKEN, true);
  }

  /** FastMoE's Switch gate (S08): ceil(factor T / E), in token order. */
  public static Capacity fastMoeSwitch(double train, double eval) {
    return new Capacity(
        new Factor(train, false, Rounding.CEIL),
        new Factor(eval, false, Rounding.CEIL),
        Grouping.BATCH,
        DropOrder.TOKEN,
        false);
  }

  private static final List<String> NAMES =
      List.of(
          "none",
          "gshard",
          "lingvo",
          "mesh",
          "switch",
          "flaxformer",
          "vmoe",
          "fairseq",
          "megablocks",
          "fastmoe-gshard",
          "fastmoe-switch");

  /**
   * A policy by its name in configuration files, with this toolkit's usual grouping.
   *
   * @param train capacity factor in training, where the policy has one
   * @param eval capacity factor in evaluation, where it has its own; of fairseq the fraction of
   *     tokens
   * @throws MoeException naming the nearest known one
   */
  public static Capacity named(String name, double train, double eval) {
    return switch (name) {
      case "none" -> NONE;
      case "gshard" -> gshardPaper(Grouping.BATCH);
      case "lingvo" -> lingvo(train, Grouping.BATCH);
      case "mesh" -> mesh(train, eval);
      case "switch" -> switchPaper(train, Grouping.BATCH);
      case "flaxformer" -> flaxformer(train, eval, 4, Grouping.BATCH);
      case "vmoe" -> vmoe(train, eval, Grouping.BATCH, DropOrder.CHOICE);
      case "fairseq" -> fairseq(eval);
      case "megablocks" -> megablocks(train);
      case "fastmoe-gshard" -> fastMoeGshard(train, eval);
      case "fastmoe-switch" -> fastMoeSwitch(train, eval);
      default ->
          throw new MoeException(
              "unknown capacity policy \""
                  + name
                  + "\"; did you mean \""
                  + Nearest.to(name, NAMES)
                  + "\"? (known: "
                  + String.join(", ", NAMES)
                  + ")");
    };
  }

  /** True if nothing is ever dropped. */
  public boolean unlimited() {
    return train instanceof CapacityRule.Unlimited && eval instanceof CapacityRule.Unlimited;
  }

  /** The rule of a phase. */
  public CapacityRule rule(Phase phase) {
    return phase.training() ? train : eval;
  }

  /** Slots of one expert for one group. */
  public long slots(TokenContext context, int experts, int k) {
    return rule(context.phase()).slots(group.groupSize(context), experts, k);
  }

  /**
   * The routing with what does not fit dropped. Integer work only: weights keep their gradients.
   *
   * @throws MoeException if the tokens do not divide into groups or no slot is left
   */
  public TokenChoice apply(TokenChoice routing, TokenContext context) {
    if (rule(context.phase()) instanceof CapacityRule.Unlimited || context.tokens() == 0) {
      return routing;
    }
    int experts = routing.expertCount();
    int k = routing.k();
    long slots = slots(context, experts, k);
    int size = Math.toIntExact(group.groupSize(context));
    long[] choices = routing.choices().toLongs();
    byte[] wanted = routing.wanted().toBytes();
    IntPredicate counts = i -> choices[i] >= 0 && (rejectedTakeSlots || wanted[i] != 0);
    byte[] kept = new byte[choices.length];
    int tokens = choices.length / k;
    int[] sequence = order.byScore() ? byPriority(routing, size) : new int[0];
    for (int start = 0; start < tokens; start += size) {
      long[] used = new long[experts];
      for (int n = 0; n < size * k; n++) {
        int i = place(n, k, size, start, sequence);
        if (counts.test(i) && used[(int) choices[i]]++ < slots) {
          kept[i] = wanted[i];
        }
      }
    }
    Tensor mask = Tensor.of(kept, tokens, k).to(DType.BOOL).to(routing.choices().device());
    return routing.keeping(mask);
  }

  /** Which choice comes n-th in its group, as an index into [T,k]. */
  private int place(int n, int k, int size, int start, int[] sequence) {
    return switch (order) {
      case TOKEN -> start * k + n;
      case CHOICE -> (start + n % size) * k + n / size;
      case PRIORITY, PRIORITY_SUM -> sequence[start + n % size] * k + n / size;
    };
  }

  /** Tokens by descending top or summed score inside each group; equal ones in token order. */
  private int[] byPriority(TokenChoice routing, int size) {
    double[] scores = routing.selected().toDoubles();
    int k = routing.k();
    int tokens = scores.length / k;
    Integer[] ranked = new Integer[tokens];
    double[] priority = new double[tokens];
    for (int t = 0; t < tokens; t++) {
      ranked[t] = t;
      priority[t] = scores[t * k];
      for (int j = 1; j < k; j++) {
        double score = scores[t * k + j];
        priority[t] =
            order == DropOrder.PRIORITY ? Math.max(priority[t], score) : priority[t] + score;
      }
    }
    for (int start = 0; start < tokens; start += size) {
      Arrays.sort(ranked, start, start + size, (a, b) -> Double.compare(priority[b], priority[a]));
    }
    int[] sequence = new int[tokens];
    for (int i = 0; i < tokens; i++) {
      sequence[i] = ranked[i];
    }
    return sequence;
  }
}
