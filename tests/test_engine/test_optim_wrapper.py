import torch


def test_forward_pass_is_autocast_and_weights_stay_float32(toy, tmp_path):
    record = toy.RecordHook()
    runner = toy.build_runner(tmp_path, [record],
                              **{'optim_wrapper.type': 'Bfloat16OptimWrapper'})
    runner.train()
    assert runner.model.seen_dtype == torch.bfloat16
    assert all(parameter.dtype == torch.float32 for parameter in runner.model.parameters())
    assert record.losses[9] < record.losses[0]
