package org.moe4j.engine;

/**
 * Limits of a {@link Batch}.
 *
 * @param sequences that are worked on at once; others wait
 * @param stepTokens that go through the model in one step
 * @param promptTokens of them, that prompts may take while others write: the smaller, the steadier
 *     the writing, and the longer a new prompt takes
 */
public record BatchOptions(int sequences, int stepTokens, int promptTokens) {
  /** 16 sequences, steps of 256 tokens, 64 of prompts while others write. */
  public static final BatchOptions DEFAULT = new BatchOptions(16, 256, 64);

  /** Checks the numbers. */
  public BatchOptions {
    check(sequences >= 1 && sequences <= 1 << 14, "sequences", sequences, "1 to 16384");
    check(stepTokens >= 2 && stepTokens <= 1 << 14, "stepTokens", stepTokens, "2 to 16384");
    check(
        promptTokens >= 1 && promptTokens <= stepTokens,
        "promptTokens",
        promptTokens,
        "1 to " + stepTokens);
  }

  private static void check(boolean fits, String name, int value, String expected) {
    if (!fits) {
      throw new EngineException(name + " is " + value + ", expected " + expected);
    }
  }
}
