package org.moe4j;

import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.moe4j.tensor.MoeException;

/** Every balance loss by its name in configuration files. */
public final class BalanceRegistry {
  /**
   * A balance loss that a configuration can name.
   *
   * @param loss the loss with its usual grouping
   * @param paper the system it comes from
   * @param description one line
   */
  public record Entry(Balance loss, String paper, String description) {}

  private static final Map<String, Entry> ENTRIES = new LinkedHashMap<>();

  static {
    add(FractionBalance.switchLoss(Grouping.BATCH), "S06", "E sum f P, first choices; 1 if even");
    add(FractionBalance.gshard(Grouping.BATCH), "S05", "as switch, padding in the divisors");
    add(FractionBalance.gshardPaper(Grouping.BATCH), "S05", "as printed: E^2 times smaller");
    add(FractionBalance.fairseq(), "S16", "as switch, padding in the mean gate");
    add(FractionBalance.mixtral(Grouping.BATCH), "S34", "E sum f P, all choices; k if even");
    add(FractionBalance.megablocks(), "S25", "E sum f P, all choices over k; 1 if even");
    add(FractionBalance.deepSeekExpert(true), "S36", "as megablocks, per sequence");
    add(new DeviceBalance(0, Grouping.SEQUENCE), "S36", "as deepseek-expert, by expert groups");
    add(new CommunicationBalance(), "S40", "tokens sent to a group times its probability");
    add(new MeanGateSquareBalance(), "S44", "sum (1/E - P)^2, no counts; 0 if even");
    add(AdaptiveBalance.skywork(), "S44", "mean-gate-square, its weight follows the drop rate");
    add(LocalEntropyBalance.standard(), "S20", "mean entropy of a token's gates, per modality");
    add(GlobalEntropyBalance.standard(), "S20", "entropy the mean gates lack, per modality");
    add(new ImportanceBalance(), "S01", "squared variation of summed weights");
    add(new LoadBalance(), "S01", "squared variation of expected load under the noise");
    add(new FastMoeNoisyBalance(), "S08", "importance plus load, variance over E - 1");
    add(new FastMoeSwitchBalance(), "S08", "as switch, counted and divided after drops");
    add(new MutualInformation(), "S38", "entropy per token less entropy of their mean; -ln E best");
    add(
        new VMoeBalance(VMoeBalance.Signal.BOTH, Grouping.BATCH),
        "S12",
        "half of vmoe-importance and half of vmoe-load");
    add(
        new VMoeBalance(VMoeBalance.Signal.IMPORTANCE, Grouping.BATCH),
        "S12",
        "squared variation of summed clean probabilities");
    add(
        new VMoeBalance(VMoeBalance.Signal.LOAD, Grouping.BATCH),
        "S12",
        "as load, the threshold being the token's own k-th noisy logit");
    add(new BatchEntropy(), "S29", "negative entropy of the mean softmax; -ln E if even");
    add(new SparsityL1(), "S10", "1-norm over 2-norm of a token's probabilities; 1 if sure");
    add(new MeanImportance(), "S10", "E times the mean probabilities' squared norm; 1 if even");
    add(new RouterZLoss(), "S18", "mean squared logsumexp of the logits");
  }

  private BalanceRegistry() {}

  private static void add(Balance loss, String paper, String description) {
    ENTRIES.put(loss.name(), new Entry(loss, paper, description));
  }

  /** All entries. */
  public static Collection<Entry> entries() {
    return Collections.unmodifiableCollection(ENTRIES.values());
  }

  /**
   * The loss of this name.
   *
   * @throws MoeException naming the nearest known one
   */
  public static Balance named(String name) {
    Entry entry = ENTRIES.get(name);
    if (entry == null) {
      throw new MoeException(
          "unknown balance loss \""
              + name
              + "\"; did you mean \""
              + Nearest.to(name, ENTRIES.keySet())
              + "\"? (known: "
              + String.join(", ", ENTRIES.keySet())
              + ")");
    }
    return entry.loss();
  }
}
