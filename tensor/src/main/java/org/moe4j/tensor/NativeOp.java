package org.moe4j.tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import org.bytedeco.pytorch.Dispatcher;
import org.bytedeco.pytorch.GenericList;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.OperatorHandle;
import org.bytedeco.pytorch.TensorList;
import org.bytedeco.pytorch.TensorVector;
import org.jspecify.annotations.Nullable;

/**
 * An operator that libtorch's dispatcher knows and the Java binding does not, such as {@code
 * aten::_grouped_mm}. Arguments are given in the order of the operator's schema, all of them.
 */
public final class NativeOp {
  static {
    NativeRuntime.prepare();
  }

  private static final ConcurrentHashMap<String, NativeOp> CACHE = new ConcurrentHashMap<>();

  private final String name;
  private final OperatorHandle handle;

  private NativeOp(String name) {
    this.name = name;
    try (Scope scope = Scope.open()) {
      this.handle = Dispatcher.singleton().findSchemaOrThrow("aten::" + name, "");
      handle.retainReference();
    } catch (RuntimeException e) {
      throw new MoeException("libtorch has no operator aten::" + name, e);
    }
  }

  /** The operator {@code aten::name} without an overload name. */
  public static NativeOp of(String name) {
    return CACHE.computeIfAbsent(name, NativeOp::new);
  }

  /**
   * Calls the operator.
   *
   * @param arguments tensors, lists of tensors, dtypes, numbers, booleans, or null for None
   * @return the first result; for operators without a result, nothing is read
   */
  public Tensor call(@Nullable Object... arguments) {
    try (Scope scope = Scope.open()) {
      IValueVector stack = push(arguments);
      handle.callBoxed(stack);
      // toTensor() points into the stack, which is freed here: take a hold of our own.
      return scope.pass(new Tensor(new org.bytedeco.pytorch.Tensor(stack.get(0).toTensor())));
    }
  }

  /** Calls an operator that gives several tensors: all results that are tensors, in order. */
  public List<Tensor> callAll(@Nullable Object... arguments) {
    try (Scope scope = Scope.open()) {
      IValueVector stack = push(arguments);
      handle.callBoxed(stack);
      List<Tensor> results = new ArrayList<>();
      for (long i = 0; i < stack.size(); i++) {
        if (stack.get(i).isTensor()) {
          var own = new org.bytedeco.pytorch.Tensor(stack.get(i).toTensor());
          results.add(scope.pass(new Tensor(own)));
        }
      }
      return results;
    }
  }

  /** Calls an operator that changes its arguments and returns nothing that is needed. */
  public void run(@Nullable Object... arguments) {
    try (Scope scope = Scope.open()) {
      handle.callBoxed(push(arguments));
    }
  }

  private IValueVector push(@Nullable Object[] arguments) {
    IValueVector stack = new IValueVector();
    for (Object argument : arguments) {
      stack.push_back(value(argument));
    }
    return stack;
  }

  private IValue value(@Nullable Object argument) {
    return switch (argument) {
      case null -> new IValue();
      case Tensor t -> new IValue(t.at);
      case Double d -> new IValue(d.doubleValue());
      case Long l -> new IValue(l.longValue());
      case Integer i -> new IValue(i.longValue());
      case Boolean b -> new IValue(b.booleanValue());
      case DType d -> new IValue((long) d.scalarType().value);
      case List<?> list -> {
        TensorVector tensors = new TensorVector();
        list.forEach(t -> tensors.push_back(((Tensor) t).at));
        // A typed list seen as a generic one: both are one pointer to the same list object.
        yield new IValue(new GenericList(new TensorList(tensors)));
      }
      default ->
          throw new IllegalArgumentException(
              "aten::" + name + ": cannot pass a " + argument.getClass().getSimpleName());
    };
  }
}
