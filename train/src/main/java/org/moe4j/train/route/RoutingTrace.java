package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.moe4j.Routing;
import org.moe4j.TokenChoice;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.report.ChoiceReader;

/**
 * What one layer's router did with the T tokens of a batch, as plain arrays that outlive the pass.
 */
public sealed interface RoutingTrace {
  /** The block's index in the model. */
  int layer();

  /** E. */
  int experts();

  /** Tells {@code reader} of every pair of a token 0..T-1 and an expert, before capacity drops. */
  void read(ChoiceReader reader);

  /**
   * Every token chose k experts. A router may see several rows of each token, one behind the other
   * (S41); for others, rows are tokens.
   *
   * @param parts P, the rows of a token
   * @param k the choices of a row
   * @param choices [T*P*k] by row, the expert of the highest score first; -1 where fewer are chosen
   * @param weights [T*P*k] combine weights of the choices, 0 for those that were dropped
   * @param served whether the choice found room [T*P*k]
   * @param probabilities the router's distribution [T*P*E]; empty if it has none
   */
  record Chosen(
      int layer,
      int experts,
      int parts,
      int k,
      int[] choices,
      float[] weights,
      boolean[] served,
      float[] probabilities)
      implements RoutingTrace {
    /** Checks that the shapes agree. */
    public Chosen {
      int rows = k == 0 ? 0 : choices.length / k;
      if (weights.length != choices.length
          || served.length != choices.length
          || (probabilities.length != 0 && probabilities.length != rows * experts)) {
        throw new MoeException("layer " + layer + ": choices, weights and probabilities differ");
      }
    }

    /** T * P. */
    public int rows() {
      return k == 0 ? 0 : choices.length / k;
    }

    /** The expert that row {@code row} chose at rank {@code rank} from 0, or -1. */
    public int choice(int row, int rank) {
      return choices[row * k + rank];
    }

    @Override
    public void read(ChoiceReader reader) {
      for (int i = 0; i < choices.length; i++) {
        if (choices[i] >= 0) {
          reader.choice(i / k / parts, choices[i], 1, served[i]);
        }
      }
    }

    /** The same with the choices of each row in the order of {@code scores}, highest first. */
    private Chosen ordered(float[] scores) {
      for (int row = 0; row < rows(); row++) {
        for (int i = row * k + 1; i < (row + 1) * k; i++) {
          for (int j = i; j > row * k && before(scores, j, j - 1); j--) {
            swap(scores, j);
          }
        }
      }
      return this;
    }

    private boolean before(float[] scores, int a, int b) {
      return choices[a] >= 0 && (choices[b] < 0 || scores[a] > scores[b]);
    }

    private void swap(float[] scores, int j) {
      int choice = choices[j];
      choices[j] = choices[j - 1];
      choices[j - 1] = choice;
      boolean kept = served[j];
      served[j] = served[j - 1];
      served[j - 1] = kept;
      for (float[] values : List.of(weights, scores)) {
        float value = values[j];
        values[j] = values[j - 1];
        values[j - 1] = value;
      }
    }
  }

  /**
   * Experts chose tokens, or tokens were mixed: pairs without an order.
   *
   * @param tokens 0..T-1 [n]
   * @param chosen experts [n]
   * @param shares 1 for a choice; the expert's share in the token's mixture for a blend [n]
   * @param reason why choices of tokens are not looked at, in a few words
   */
  record Spread(int layer, int experts, int[] tokens, int[] chosen, double[] shares, String reason)
      implements RoutingTrace {
    @Override
    public void read(ChoiceReader reader) {
      for (int i = 0; i < tokens.length; i++) {
        reader.choice(tokens[i], chosen[i], shares[i], true);
      }
    }
  }

  /**
   * The trace of a pass over {@code tokens} tokens.
   *
   * @param layer the block's index
   * @param routing of any form
   */
  static RoutingTrace of(int layer, Routing routing, int tokens) {
    return routing instanceof TokenChoice choice
        ? chosen(layer, choice, tokens)
        : spread(layer, routing);
  }

  private static Chosen chosen(int layer, TokenChoice routing, int tokens) {
    int rows = (int) routing.tokens();
    if (tokens == 0 || rows % tokens != 0) {
      throw new MoeException(
          "layer " + layer + ": " + rows + " rows were routed for " + tokens + " tokens");
    }
    long[] asked = routing.asked().toLongs();
    long[] given = routing.experts().toLongs();
    int[] choices = new int[asked.length];
    boolean[] served = new boolean[asked.length];
    for (int i = 0; i < asked.length; i++) {
      choices[i] = (int) asked[i];
      served[i] = given[i] >= 0;
    }
    int experts = routing.expertCount();
    Optional<Tensor> known =
        routing
            .evidence()
            .probabilities()
            .filter(p -> p.dim() == 2 && p.size(0) == rows && p.size(1) == experts);
    float[] probabilities = known.map(Tensor::toFloats).orElseGet(() -> new float[0]);
    return new Chosen(
            layer,
            experts,
            rows / tokens,
            routing.k(),
            choices,
            routing.weights().toFloats(),
            served,
            probabilities)
        .ordered(routing.selected().toFloats());
  }

  private static Spread spread(int layer, Routing routing) {
    List<Integer> tokens = new ArrayList<>();
    List<Integer> experts = new ArrayList<>();
    List<Double> shares = new ArrayList<>();
    ChoiceReader reader =
        (token, expert, weight, kept) -> {
          tokens.add(token);
          experts.add(expert);
          shares.add(weight);
        };
    reader.read(routing);
    return new Spread(
        layer,
        routing.expertCount(),
        tokens.stream().mapToInt(i -> i).toArray(),
        experts.stream().mapToInt(i -> i).toArray(),
        shares.stream().mapToDouble(d -> d).toArray(),
        "tokens do not choose here ("
            + routing.getClass().getSimpleName()
            + " routing), so of their choices there is the load alone");
  }
}
