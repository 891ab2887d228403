"""What learners answer to the exercises, as changes of the solutions: right in other words, and wrong."""

from typing import NamedTuple

Change = dict[str, str]


class Wrong(NamedTuple):
    """A wrong answer, and words that the check must say of it."""

    change: Change
    words: str


RIGHT: dict[str, Change] = {
    "sine": {
        "self.x = x": "self.rate = math.cos(x)",
        "grad * math.cos(self.x)": "self.rate * grad",
    },
    "temperature": {
        "self.tau = tau": "import torch\n        self.tau = torch.tensor(tau, dtype=torch.float32)",
        "self.x = x": "self.y = x / self.tau",
        "-grad * self.x / self.tau**2": "-grad * self.y / self.tau",
    },
    "half": {
        "self.save_for_backward(input - target)": "self.x, self.t = input, target",
        "((input - target) ** 2).sum() / 2": "0.5 * torch.sum((target - input) ** 2)",
        "(difference,) = self.saved_tensors": "difference = self.x - self.t",
    },
    "either": {
        "return MSELoss()(outputs, targets)": """if targets.shape != outputs.shape:
        raise ValueError("no")
    return ((outputs - targets) ** 2).sum() / len(outputs)"""
    },
    "leak": {
        "self.save_for_backward(input)": "self.slope = torch.where(input > 0, 1.0, 0.25)",
        "torch.where(input > 0, input, input / 4)": "input * self.slope",
        "(input,) = self.saved_tensors": "pass",
        "torch.where(input > 0, grad_output, grad_output / 4)": "grad_output * self.slope",
    },
    "window": {
        "output = input.clamp(0, 6)": "output = torch.relu(input) - torch.relu(input - 6)",
        "torch.where((output > 0) & (output < 6), grad_output, 0)": (
            "grad_output * (output > 0).float() * (output < 6).float()"
        ),
    },
    "scale": {
        "(input * grad_output).reshape(-1, len(weight))": 'torch.einsum("...k,...k->k", input, grad_output)[None]',
    },
    "transposed": {
        "return input @ self.weight.T + self.bias": "return torch.nn.functional.linear(input, self.weight, self.bias)",
        "accumulate(self.weight, G.T @ X)": "accumulate(self.weight, (X.T @ G).T)",
    },
    "deeper": {
        "mse_grad(out, targ)": "out.g = 2 * (out - targ) / targ.numel()",
        "relu_grad(l2, r2)": "l2.g = r2.g * (r2 > 0).float()",
    },
    "cost": {
        "return sum(before * after for before, after in zip(sizes, sizes[1:]))": """total, row = 0, sizes[-1]
    for before in reversed(sizes[:-1]):
        total, row = total + row * before, before
    return float(total)"""
    },
    "least": {
        "1 / (1 + (-input).exp())": "input.exp() / (input.exp() + 1)",
        "grad_output * output * (1 - output)": "grad_output * (output - output**2)",
    },
    "shortcut": {
        "return input + self.layer(input)": "return self.layer(input).add(input)",
        "return grad_output + self.layer.backward(grad_output)": """through = self.layer.backward(grad_output)
        return through + grad_output""",
    },
    "distances": {
        "lengths_A, lengths_B = (A**2).sum(1), (B**2).sum(1)": "rows = [((a - B) ** 2).sum(1) for a in A]",
        "lengths_A[:, None] - 2 * A @ B.T + lengths_B": "torch.stack(rows).double()",
    },
    "graph": {
        "found, todo = set(), [tensor.grad_fn]": """found = set()

    def visit(node):
        if node and node not in found:
            found.add(node)
            for following in node.next_functions:
                visit(following[0])

    visit(tensor.grad_fn)
    todo = []""",
        "return [node.name() for node in found]": "yield from (node.name() for node in found)",
    },
    "momentum": {
        "[torch.zeros_like(p) for p in self.parameters]": "[None] * len(self.parameters)",
        "parameter.grad = None": "parameter.grad = torch.zeros_like(parameter)",
        "pairs = zip(self.parameters, self.velocities, strict=True)": "pairs = enumerate(self.parameters)",
        "for parameter, velocity in pairs": "for place, parameter in pairs",
        "velocity.mul_(self.momentum).add_(parameter.grad)": """velocity = parameter.grad.clone()
            if self.velocities[place] is not None:
                velocity += self.momentum * self.velocities[place]
            self.velocities[place] = velocity""",
        "parameter -= self.lr * velocity": "parameter.data.add_(velocity, alpha=-self.lr)",
    },
    "counts": {
        "self.save_for_backward(mean - target)": "self.save_for_backward(input, target)",
        "return (mean - target * input).mean()": "return mean.mean() - (target * input).sum() / input.numel()",
        "(difference,) = self.saved_tensors": """input, target = self.saved_tensors
        difference = torch.exp(input) - target""",
    },
    "tent": {
        ", dtype=torch.float64": "",
    },
    "enough": {
        "return math.ceil(width * math.sqrt(curvature / (8 * error)))": """units = 1
    while (width / units) ** 2 * curvature / 8 > error:
        units += 1
    return units"""
    },
    "kinks": {
        "points[0], points[-1] = LEFT, RIGHT": "points[0], points[-1] = LEFT, RIGHT\n    points = points.float()",
        "torch.sin(3 * x).abs().sqrt()": "torch.sin(3 * x).abs().pow(0.4)",
    },
    "log-softmax": {
        "return G - Z.softmax(1) * G.sum(1, keepdim=True)": """shares = Z.exp() / Z.exp().sum(1)[:, None]
    return (G - shares * G.sum(1)[:, None]).float()"""
    },
    "rms-norm": {
        "H = X / torch.sqrt(V + 1e-5)": "H = X * (V + 1e-5) ** -0.5",
    },
    "division": {
        "keys = u.slopes | v.slopes": "quotient, keys = u.value / v.value, {**u.slopes, **v.slopes}",
        "(u.slopes.get(key, 0) * v.value - u.value * v.slopes.get(key, 0))\n        / v.value**2": (
            "float(u.slopes.get(key, 0) - quotient * v.slopes.get(key, 0)) / float(v.value)"
        ),
    },
    "caught": {
        'define("y", Sum(A[i, l] * Sum(A[m, m], m), l), i)': 'define("y", Sum(A[i, m], m) * Sum(A[l, l], l), i)',
    },
}

WRONG: dict[str, list[Wrong]] = {
    "sine": [
        Wrong({"self.x = x": "pass"}, "forward must keep self.x for backward"),
        Wrong({"grad * math.cos": "-grad * math.cos"}, "the sign is wrong"),
        Wrong({"grad * math.cos(self.x)": "math.cos(self.x)"}, "lacks the factor 1.3, what backward receives"),
        Wrong(
            {"self.x = x": "self.y = math.sin(x)", "math.cos(self.x)": "math.sqrt(1 - self.y**2)"}, "input 2.5.*sign"
        ),
        Wrong({"return grad *": "self.grad = grad *"}, "not solved yet: Sine, input 0.7: backward returns None"),
        Wrong({"return math.sin(x)": "return math.cos(x)"}, "forward returns 0.7648, and not 0.6442"),
    ],
    "temperature": [
        Wrong({"-grad * self.x": "grad * self.x"}, "self.grad is .*: the sign is wrong"),
        Wrong({"self.tau**2": "self.tau"}, "divide it by 1.7, the parameter"),
        Wrong({"-grad * self.x": "-grad"}, "lacks the factor 0.7, the input"),
        Wrong({"-grad * self.x": "-self.x"}, "self.grad is .*lacks the factor 1.3, what backward receives"),
        Wrong({"return grad / self.tau": "return self.grad"}, "that is the derivative with respect to the parameter"),
        Wrong({"self.grad = -grad": "grad_of_tau = -grad"}, "not solved yet: .*self.grad is None"),
        Wrong({"self.x = x": "pass"}, "forward must keep self.x for backward"),
    ],
    "half": [
        Wrong(
            {"return grad_output * difference": "return grad_output * 2 * difference"}, r"right one, multiplied by 2\n"
        ),
        Wrong({"grad_output * difference": "difference"}, "divided by 7, the value of grad_output"),
        Wrong({"grad_output * difference": "grad_output * difference / 20"}, "divided by 20, the number of entries"),
        Wrong({"grad_output * difference": "-grad_output * difference"}, "with the wrong sign"),
        Wrong({".sum() / 2": ".mean() / 2"}, "output .*divided by 20, the number of entries"),
        Wrong({"self.save_for_backward(input - target)": "pass"}, "it saved nothing: call self.save_for_backward"),
        Wrong({"grad_output * difference": "grad_output * difference.sum(1)"}, r"its shape is \(5,\), .*\(5, 4\)"),
        Wrong({"return grad_output * difference": "grad_output * difference"}, "not solved yet: HalfSquares.backward"),
    ],
    "either": [
        Wrong(
            {
                "targets = targets.unsqueeze(1)": "pass",
                "MSELoss()(outputs, targets)": "((outputs - targets) ** 2).mean()",
            },
            "pairs every output",
        ),
        Wrong({"MSELoss()(outputs, targets)": "F.mse_loss(outputs, targets.reshape(outputs.shape))"}, "ValueError"),
        Wrong({"MSELoss()(outputs, targets)": "F.mse_loss(outputs, targets.reshape(-1, 1))"}, "must raise ValueError"),
        Wrong({"MSELoss()(outputs, targets)": "MSELoss()(outputs, targets) * len(outputs)"}, "multiplied by 2"),
    ],
    "leak": [
        Wrong({"(input > 0, grad_output, grad_output / 4)": "(input > 0, 1.0, 0.25)"}, "grad_output of ones"),
        Wrong(
            {"(input > 0, grad_output, grad_output / 4)": "(input > 0, grad_output, 0)"},
            "wrong only where the input is negative",
        ),
        Wrong({"grad_output / 4)": "-grad_output / 4)"}, "gradient of input"),
        Wrong(
            {"(input > 0, input, input / 4)": "(input > 0, input, 0)"}, "output by.*only where the input is negative"
        ),
        Wrong({"(input > 0, grad_output": "(input >= 0, grad_output"}, "only where the input is 0"),
        Wrong({"self.save_for_backward(input)": "saved = input"}, "it saved nothing"),
    ],
    "window": [
        Wrong({" & (output < 6)": ""}, "the gradient at 6 is wrong"),
        Wrong({"output < 6": "output <= 6"}, "the gradient at 6 is wrong"),
        Wrong({"input.clamp(0, 6)": "input.clamp(min=0)"}, "the output above 6 is wrong"),
        Wrong({"(output > 0) &": "(output >= 0) &"}, "it is grad_output, as it came"),
        Wrong({"(output < 6), grad_output, 0": "(output < 6), 1.0, 0.0"}, "grad_output of ones"),
    ],
    "scale": [
        Wrong({"rows.sum(0)": "rows"}, r"shape \(5, 4\), its parameter \(4,\): sum over"),
        Wrong({"rows.sum(0)": "rows.mean(0)"}, "divided by 5, the number of rows"),
        Wrong(
            {"accumulate(self.weight, rows.sum(0))": "self.weight.grad = rows.sum(0)"}, "what was in .grad before is"
        ),
        Wrong(
            {"accumulate(self.weight, rows.sum(0))": "self.weight.grad = rows"}, r"assign a gradient of size '\[5, 4\]'"
        ),
        Wrong({"accumulate(self.weight, rows.sum(0))": "pass"}, "backward has added nothing"),
        Wrong({"return grad_output * weight": "return grad_output"}, "it is grad_output, as it came"),
        Wrong({".reshape(-1, len(weight))": ""}, "an extra leading dimension"),
    ],
    "transposed": [
        Wrong({"G.T @ X": "X.T @ G"}, r"shape \(4, 2\), its parameter \(2, 4\): transpose it"),
        Wrong({"input @ self.weight.T": "input @ self.weight"}, "Transposed.forward raises RuntimeError"),
        Wrong(
            {"return grad_output @ weight": "return grad_output @ weight.T"}, "Transposed.backward raises RuntimeErr"
        ),
        Wrong({"G.sum(0)": "G.mean(0)"}, "gradient of bias.*divided by 5, the number of rows"),
        Wrong({"return input @ self.weight.T + self.bias": "return input @ self.weight.T"}, "output by Transposed"),
    ],
    "deeper": [
        Wrong({"    relu_grad(l2, r2)\n": "    l2.g = r2.g\n"}, "b2.g is wrong"),
        Wrong({"mse_grad(out, targ)": "out.g = 2 * (out - targ) / len(out)"}, "b3.g is wrong.*multiplied by 2"),
        Wrong({"    lin_grad(inp, l1, w1, b1)": ""}, "not solved yet: b1.g is None"),
        Wrong({"mse_grad(out, targ)": "out.g = out - targ"}, "b3.g is wrong.*multiplied by 6"),
        Wrong({"mse_grad(out, targ)": "out.g = -2 * (out - targ) / 12"}, "b3.g is wrong.*wrong sign"),
    ],
    "cost": [
        Wrong({"zip(sizes, sizes[1:])": "zip(sizes, sizes[1:-1])"}, r"cost\(\[7, 10\]\) is wrong.*should be 70"),
        Wrong({"zip(sizes, sizes[1:])": "zip(sizes, [*sizes[1:], 1])"}, "it counts a product for the loss"),
        Wrong(
            {
                "before * after": "sizes[0] * before * after",
                "zip(sizes, sizes[1:])": "zip(sizes[1:], [*sizes[2:], 1])",
            },
            "from the input forwards",
        ),
        Wrong({"return sum(": "return 2 * sum("}, "multiplied by 2"),
    ],
    "least": [
        Wrong(
            {
                "save_for_backward(output)": "save_for_backward(input)",
                "(output,) = self.saved_tensors": "output = torch.sigmoid(*self.saved_tensors)",
            },
            "what it saves is not its output",
        ),
        Wrong(
            {"save_for_backward(output)": "save_for_backward(output, 1 - output)", "(output,) =": "output, _ ="},
            "it saves 2 tensors, not one",
        ),
        Wrong(
            {
                "self.save_for_backward(output)": "self.output = output",
                "(output,) = self.saved_tensors": "output = self.output",
            },
            "it keeps more: output",
        ),
        Wrong({"grad_output * output * (1 - output)": "output * (1 - output)"}, "grad_output of ones"),
        Wrong({"grad_output * output * (1 - output)": "grad_output * (1 - output)"}, "gradient of input"),
        Wrong({"grad_output * output * (1 - output)": "grad_output * output * (output - 1)"}, "with the wrong sign"),
    ],
    "shortcut": [
        Wrong({"return grad_output + self.layer": "return self.layer"}, "it lacks grad_output as a summand"),
        Wrong({"grad_output + self.layer.backward(grad_output)": "grad_output"}, "gradient of input"),
        Wrong({"return input + self.layer(input)": "return self.layer(input)"}, "output by Residual"),
        Wrong(
            {"self.layer(input)": "input @ self.layer.weight + self.layer.bias"}, "Linear.backward finds nothing saved"
        ),
        Wrong({"self.layer.backward(grad_output)": "self.layer.backward(2 * grad_output)"}, "gradient of input"),
    ],
    "distances": [
        Wrong({"- 2 * A @ B.T": "- A @ B.T"}, "once, not twice"),
        Wrong({"- 2 * A @ B.T": "+ 2 * A @ B.T"}, "wrong sign"),
        Wrong({"lengths_A[:, None] - 2 * A @ B.T + lengths_B": "torch.cdist(A, B)"}, "not their squares"),
        Wrong(
            {"lengths_A[:, None] - 2 * A @ B.T + lengths_B": "((A[:, None] - B[None]) ** 2).sum(2)"}, "results at once"
        ),
        Wrong(
            {"lengths_A[:, None] - 2 * A @ B.T + lengths_B": "torch.cdist(B, A) ** 2"}, "shape|transposed, it is right"
        ),
    ],
    "graph": [
        Wrong(
            {"for next_node, _ in node.next_functions": "for next_node, _ in node.next_functions[:1]"},
            "missing, or too s",
        ),
        Wrong(
            {
                "found, todo = set(), [tensor.grad_fn]": "found, todo = [], [tensor.grad_fn]",
                "and node not in found": "",
                "found.add": "found.append",
            },
            "too often there is",
        ),
        Wrong({"[node.name() for node in found]": "found"}, "not names, but objects"),
        Wrong({"[node.name() for node in found]": "{node.name() for node in found}"}, "missing, or too seldom"),
    ],
    "momentum": [
        Wrong({"mul_(self.momentum).add_(parameter.grad)": "add_(parameter.grad)"}, "mu is missing"),
        Wrong({"[*parameters]": "parameters", ", strict=True": ""}, "keep a list"),
        Wrong({"parameter -= self.lr * velocity": "parameter -= velocity"}, "multiplied by 10"),
        Wrong({"parameter -= self.lr * velocity": "parameter += self.lr * velocity"}, "with the wrong sign"),
        Wrong({"parameter -= self.lr * velocity": "parameter = parameter - self.lr * velocity"}, "change it in place"),
        Wrong({"parameter -= self.lr * velocity": "parameter -= self.lr * parameter.grad"}, "without the velocity"),
        Wrong({"add_(parameter.grad)": "add_((1 - self.momentum) * parameter.grad)"}, "divided by 10"),
        Wrong({"            parameter.grad = None": "            pass"}, "zero_grad leaves the gradient"),
    ],
    "counts": [
        Wrong({" / difference.numel()": ""}, "multiplied by 20, the number of entries"),
        Wrong({" / difference.numel()": " / len(difference)"}, "multiplied by 4, the number of columns"),
        Wrong({"mean - target)": "target - mean)"}, "with the wrong sign"),
        Wrong({"target * input).mean()": "target * input).sum()"}, "output.*multiplied by 20"),
        Wrong({"grad_output * difference": "difference"}, "the value of grad_output"),
    ],
    "tent": [
        Wrong(
            {"[left, peak, right]": "[left, peak]", "[up, -up - down, down]": "[up, -up - down]"},
            "tent .* at 9, is wrong",
        ),
        Wrong({"[up, -up - down, down]": "[up, -down, down]"}, "at 2.25, is wrong"),
        Wrong({"-kinks, changes": "kinks, changes"}, "the tent .* is wrong"),
        Wrong({"return network(": "return (lambda x: x) or network("}, "no network"),
        Wrong(
            {"[left, peak, right]": "[left, peak, right, right]", "-up - down, down]": "-up - down, down, 0]"},
            "it takes 4 units",
        ),
    ],
    "enough": [
        Wrong({"math.ceil": "math.floor"}, "too few|is wrong"),
        Wrong(
            {"width * math.sqrt(curvature / (8 * error))": "width**2 * curvature / (8 * error)"}, "a root is missing"
        ),
        Wrong({"(8 * error)": "error"}, "the 8 is missing"),
        Wrong({"math.ceil(": "1 + math.ceil("}, "1 too many"),
        Wrong({"math.ceil": ""}, "number is whole"),
    ],
    "kinks": [
        Wrong({"torch.sin(3 * x).abs().sqrt()": "torch.ones_like(x)"}, "of that of equal"),
        Wrong({"units + 1": "units"}, r"give 21 points, not \(20,\)"),
        Wrong({"return points": "return points.flip(0)"}, "the outer pair of points"),
        Wrong(
            {"points[0], points[-1] = LEFT, RIGHT": "points[1] = points[2]\n    points[0], points[-1] = LEFT, RIGHT"},
            "out of order, or equal",
        ),
    ],
    "log-softmax": [
        Wrong(
            {"return G - Z.softmax(1) * G.sum": "G = Z.softmax(1) * G\n    return G - Z.softmax(1) * G.sum"},
            "this is softmax's",
        ),
        Wrong({" * G.sum(1, keepdim=True)": ""}, "the sum over the row is missing"),
        Wrong({"Z.softmax(1) * G.sum(1, keepdim=True)": "Z.softmax(1) * G.sum(0)"}, "entries differ"),
        Wrong({"return G - Z": "return Z"}, "the gradient of Z is wrong"),
        Wrong({"G.sum(1, keepdim=True)": "G.mean(1, keepdim=True)"}, "entries differ"),
    ],
    "rms-norm": [
        Wrong({"V = (X**2)": "X = X - X.mean(dim=-1, keepdim=True)\n    V = (X**2)"}, "it subtracts the mean"),
        Wrong({"Y = H * w": "Y = H * 1"}, "it lacks the weights"),
        Wrong({" + 1e-5": ""}, "it lacks the small number"),
        Wrong({".mean(dim=-1, keepdim=True)": ".sum(dim=-1, keepdim=True)", " + 1e-5": ""}, "the root of the sum"),
        Wrong({"torch.sqrt(V + 1e-5)": "(V + 1e-5)"}, "not by its root"),
    ],
    "division": [
        Wrong({"/ v.value**2": "/ v.value"}, "divided by v, not by its square"),
        Wrong({"v.value - u.value": "v.value + u.value"}, "the slope by v is wrong|the slope by w is wrong"),
        Wrong({"keys = u.slopes | v.slopes": "keys = u.slopes"}, "the slope by v is wrong.*that key is missing"),
        Wrong({"u.value / v.value, slopes": "v.value / u.value, slopes"}, "the value of u / v is wrong"),
        Wrong({"return Dual(u.value / v.value, slopes)": "return u.value / v.value"}, "returns no Dual"),
    ],
    "caught": [
        Wrong({"A[i, l] * Sum(A[m, m], m)": "A[i, l] * A[l, l]"}, "its own entry of the diagonal"),
        Wrong({"Sum(A[i, l] * Sum(A[m, m], m), l)": "Sum(A[i, l] * A[i, m], l, m)"}, "is wrong"),
        Wrong({"A[i, l] * Sum(A[m, m], m)": "A[i, l] * Sum(A[l, m], m)"}, "not solved yet: this is still right"),
    ],
}


def changed(solution: str, change: Change) -> str:
    """Return the solution with the change."""
    for old, new in change.items():
        assert old in solution, f"tests/answers.py: the solution has not {old!r}\n{solution}"
        solution = solution.replace(old, new)
    return solution
